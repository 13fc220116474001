//! PostgreSQL's error codes as what became of the question.

use shoal_kv::KvError;
use shoal_kv_remote::Failure;
use tokio_postgres::Error;

pub(crate) fn translate(error: Error) -> Failure {
    let Some(reported) = error.as_db_error() else {
        return Failure::Lost(format!("postgres: {}", chain(&error)));
    };
    let code = reported.code().code();
    let text = format!("postgres: {} ({code})", reported.message());
    match code {
        // Raised by our own functions.
        "SH001" => Failure::Refused(KvError::Limit(reported.message().to_string())),
        "SH002" => Failure::Refused(KvError::Damaged(reported.message().to_string())),
        // The server goes down, or this connection does; or it's a replica, perhaps of what was the primary here.
        "57P01" | "57P02" | "57P04" | "57P05" | "25006" => Failure::Lost(text),
        // Starting up, too many connections, out of memory or locks, a deadlock, a statement that took too long.
        "57P03" | "57014" | "55P03" | "40001" | "40P01" => Failure::Later(text),
        "53100" => Failure::Refused(KvError::NoSpace(text)),
        "42501" => Failure::Refused(KvError::Permission(text)),
        _ => match code.get(..2) {
            Some("53") => Failure::Later(text),
            Some("08") => Failure::Lost(text),
            Some("28") => Failure::Refused(KvError::Permission(text)),
            _ => Failure::Refused(KvError::Other(text)),
        },
    }
}

/// The library puts the reason into the source.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(reason) = source {
        text = format!("{text}: {reason}");
        source = reason.source();
    }
    text
}
