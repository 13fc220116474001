//! The server's error numbers as what became of the question.

use mysql::Error;
use shoal_kv::KvError;
use shoal_kv_remote::Failure;

pub(crate) fn translate(error: Error) -> Failure {
    let Error::MySqlError(reported) = &error else {
        return Failure::Lost(format!("mysql: {error}"));
    };
    let text = format!("mysql: {} ({})", reported.message, reported.code);
    match reported.code {
        // It shuts down, it's a replica, perhaps of what was the primary here, or it has ended this connection.
        1053 | 1290 | 1836 | 1927 | 3169 => Failure::Lost(text),
        // Too many connections, a lock that took too long, a deadlock, no memory, a statement that took too long.
        1040 | 1203 | 1205 | 1213 | 1037 | 1038 | 1041 | 1969 | 3024 => Failure::Later(text),
        1021 | 1114 => Failure::Refused(KvError::NoSpace(text)),
        1044 | 1045 | 1142 | 1143 | 1227 | 1698 => Failure::Refused(KvError::Permission(text)),
        _ => Failure::Refused(KvError::Other(text)),
    }
}
