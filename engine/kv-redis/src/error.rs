//! Redis's errors as what became of the question.

use redis::{ErrorKind, RedisError, ServerErrorKind};
use shoal_kv::KvError;
use shoal_kv_remote::Failure;

pub(crate) fn translate(error: RedisError) -> Failure {
    // What several commands at once were refused for, the first of them says.
    let error = match error.clone().into_server_errors().as_deref() {
        Some([(_, first), ..]) => first.clone().into(),
        _ => error,
    };
    let text = format!("redis: {error}");
    match error.kind() {
        ErrorKind::Server(kind) => of_server(kind, text),
        ErrorKind::AuthenticationFailed => Failure::Refused(KvError::Permission(text)),
        ErrorKind::InvalidClientConfig | ErrorKind::UnexpectedReturnType => Failure::Refused(KvError::Other(text)),
        ErrorKind::Extension => of_code(error.code().unwrap_or_default(), text),
        // Among them answers that can't be read: what comes after them can't be either.
        _ => Failure::Lost(text),
    }
}

/// An error that a server has answered with means that it has written nothing: the scripts write last, and nothing that
/// can fail comes after their first write.
fn of_server(kind: ServerErrorKind, text: String) -> Failure {
    match kind {
        ServerErrorKind::BusyLoading
        | ServerErrorKind::TryAgain
        | ServerErrorKind::ClusterDown
        | ServerErrorKind::MasterDown
        | ServerErrorKind::NoScript => Failure::Later(text),
        // A replica, perhaps of the server that was the primary here, or a node that has given the keys to another: the next
        // connection may find that one.
        ServerErrorKind::ReadOnly | ServerErrorKind::Moved | ServerErrorKind::Ask => Failure::Lost(text),
        ServerErrorKind::NoPerm => Failure::Refused(KvError::Permission(text)),
        _ => Failure::Refused(KvError::Other(text)),
    }
}

/// Codes that the client library has no name for.
fn of_code(code: &str, text: String) -> Failure {
    match code {
        "OOM" => Failure::Refused(KvError::NoSpace(text)),
        // It can't write its log or snapshot, and takes no writes until it can.
        "MISCONF" if text.contains("No space left") => Failure::Refused(KvError::NoSpace(text)),
        "MISCONF" | "BUSY" | "NOREPLICAS" | "UNBLOCKED" => Failure::Later(text),
        "NOAUTH" | "WRONGPASS" => Failure::Refused(KvError::Permission(text)),
        _ => Failure::Refused(KvError::Other(text)),
    }
}

/// An answer of another shape than the scripts give.
pub(crate) fn unexpected(what: &str) -> Failure {
    Failure::Lost(format!("redis: an answer that makes no sense: {what}"))
}
