//! Sinks: where the messages of a session are shown besides, if the operator asks for it.

use crate::framing::Payload;
use crate::registry::Direction;
use crate::text::printable;

/// One place where messages are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sink {
    /// The log (`--trace`).
    Log,
}

/// All places where a session's messages are shown, in order. None as a rule, and then a message costs one
/// look at a pointer.
#[derive(Debug, Default)]
pub struct Sinks(Option<Box<[Sink]>>);

impl From<Vec<Sink>> for Sinks {
    fn from(sinks: Vec<Sink>) -> Self {
        Sinks((!sinks.is_empty()).then(|| sinks.into()))
    }
}

impl Sinks {
    /// Whether there is any, so that messages have to come one by one.
    #[inline]
    pub fn any(&self) -> bool {
        self.0.is_some()
    }

    /// Shows a message of session `id`.
    #[inline]
    pub fn see(&self, id: u64, direction: Direction, payload: &Payload<'_>) {
        if let Some(sinks) = &self.0 {
            sinks.iter().for_each(|sink| sink.see(id, direction, payload));
        }
    }
}

impl Sink {
    #[cold]
    fn see(self, id: u64, direction: Direction, payload: &Payload<'_>) {
        let Sink::Log = self;
        match (direction, payload) {
            (Direction::Up, Payload::Text(text)) => {
                tracing::info!(id, up = &*printable(text), "trace");
            }
            (Direction::Up, Payload::Binary(bytes)) => {
                tracing::info!(id, up = %bytes.escape_ascii(), "trace");
            }
            (Direction::Down, Payload::Text(text)) => {
                tracing::info!(id, down = &*printable(text), "trace");
            }
            (Direction::Down, Payload::Binary(bytes)) => {
                tracing::info!(id, down = %bytes.escape_ascii(), "trace");
            }
        }
    }
}
