//! What went wrong, in one line, with what was being done.

use std::fmt;

pub type Outcome<T> = Result<T, Failure>;

#[derive(Debug)]
pub struct Failure {
    text: String,
    interrupted: bool,
}

impl Failure {
    pub fn new(text: impl fmt::Display) -> Self {
        Failure { text: text.to_string(), interrupted: false }
    }

    pub fn interrupted() -> Self {
        Failure { text: "interrupted".into(), interrupted: true }
    }

    /// Whether somebody asked to stop: then nothing more is to be tried.
    pub fn is_interruption(&self) -> bool {
        self.interrupted
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

/// Puts what was being done in front of an error.
pub trait During<T> {
    fn during(self, what: impl fmt::Display) -> Outcome<T>;
}

impl<T, E: fmt::Display + 'static> During<T> for Result<T, E> {
    fn during(self, what: impl fmt::Display) -> Outcome<T> {
        self.map_err(|error| {
            let cause: &dyn std::any::Any = &error;
            let interrupted = cause.downcast_ref::<Failure>().is_some_and(Failure::is_interruption);
            Failure { text: format!("{what}: {error}"), interrupted }
        })
    }
}
