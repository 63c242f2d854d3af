//! Entry: what a recording has after its head.

/// One thing that happened in a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Milliseconds since the session began.
    pub at: u64,
    /// What it was.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// One side said these bytes, with its end of line.
    Said(Speaker, Vec<u8>),
    /// The session ended.
    Ended(By),
}

/// The side that said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// The client: up.
    Client,
    /// The backend: down.
    Backend,
}

/// Who ended a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The client.
    Client,
    /// The backend.
    Backend,
    /// wsrelay.
    Relay,
}

impl By {
    const ALL: [By; 3] = [By::Client, By::Backend, By::Relay];

    /// The word for it, in recordings and in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            By::Client => "client",
            By::Backend => "backend",
            By::Relay => "relay",
        }
    }

    /// Reads that word.
    pub fn parse(word: &str) -> Option<By> {
        By::ALL.into_iter().find(|by| by.as_str() == word)
    }
}
