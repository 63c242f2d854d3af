//! Record: recordings of sessions, as files.
//!
//! ```text
//!  session ─▶ tap ─ notes, bounded ─▶ recorder's thread ─▶ writer: bytes to entries ─▶ file, in its directory
//!                                                          reader: entries of a file ◀── wsrelay replay
//! ```

mod directory;
mod entry;
mod head;
mod reader;
mod recorder;
mod recorders;
mod tap;
mod writer;

pub use self::entry::{By, Entry, Speaker, What};
pub use self::head::{Head, Kind};
pub use self::reader::{BadRecording, Reader};
pub use self::recorder::{Recorder, flush_all};
pub use self::recorders::Recorders;
pub use self::tap::record;
