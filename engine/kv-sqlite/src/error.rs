//! SQLite's result codes as the few kinds that callers can act upon. Every message names the database.

use rusqlite::ErrorCode;
use rusqlite::ffi;
use shoal_kv::KvError;
use std::io;
use std::path::Path;

/// `doing` says which step failed, as in "committing".
pub(crate) fn translate(path: &Path, doing: &str, error: rusqlite::Error) -> KvError {
    let text = format!("{}: {doing}: {error}", path.display());
    let rusqlite::Error::SqliteFailure(failure, _) = &error else {
        return KvError::Other(text);
    };
    // Growing the shared index file reports a full disk as an I/O error of its own.
    if failure.extended_code == ffi::SQLITE_IOERR_SHMSIZE {
        return KvError::NoSpace(text);
    }
    match failure.code {
        ErrorCode::DiskFull => KvError::NoSpace(text),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            KvError::Unavailable(format!("{text} (another process kept it locked for too long)"))
        }
        ErrorCode::CannotOpen => KvError::Unavailable(text),
        ErrorCode::PermissionDenied | ErrorCode::ReadOnly | ErrorCode::AuthorizationForStatementDenied => {
            KvError::Permission(text)
        }
        ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt => KvError::Damaged(text),
        ErrorCode::TooBig => KvError::Limit(text),
        _ => KvError::Other(text),
    }
}

/// An error of the file system on `path`.
pub(crate) fn from_io(path: &Path, doing: &str, error: io::Error) -> KvError {
    let text = format!("{}: {doing}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => KvError::Unavailable(text),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => KvError::Permission(text),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => KvError::NoSpace(text),
        _ => KvError::Other(text),
    }
}

pub(crate) fn closed(path: &Path) -> KvError {
    KvError::Unavailable(format!("{} has been closed", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_codes_become_kinds_that_name_the_database() {
        let kind = |code| {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            let error = translate(Path::new("/meta/volume"), "committing", error);
            assert!(error.to_string().contains("/meta/volume: committing"), "{error}");
            error
        };
        assert!(matches!(kind(ffi::SQLITE_FULL), KvError::NoSpace(_)));
        assert!(matches!(kind(ffi::SQLITE_IOERR_SHMSIZE), KvError::NoSpace(_)));
        assert!(matches!(kind(ffi::SQLITE_BUSY), KvError::Unavailable(_)));
        assert!(matches!(kind(ffi::SQLITE_CANTOPEN), KvError::Unavailable(_)));
        assert!(matches!(kind(ffi::SQLITE_READONLY), KvError::Permission(_)));
        assert!(matches!(kind(ffi::SQLITE_CORRUPT), KvError::Damaged(_)));
        assert!(matches!(kind(ffi::SQLITE_NOTADB), KvError::Damaged(_)));
        assert!(matches!(kind(ffi::SQLITE_IOERR_WRITE), KvError::Other(_)));
    }
}
