//! What a command that failed says: one line that names the thing, the reason and the cure, and an exit code.
//!
//! Errors of the layers below are put into words here, once. Their own texts name the object; the cure is ours.

use crate::exit::Exit;
use serde::{Deserialize, Serialize};
use shoal_kv::KvError;
use shoal_metadata::MetaError;
use shoal_object_store::StoreError;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;

pub type Outcome<T> = Result<T, Failure>;

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Failure {
    pub exit: Exit,
    line: String,
}

impl Failure {
    /// `what: why; cure`
    pub fn new(exit: Exit, what: impl fmt::Display, why: impl fmt::Display, cure: impl fmt::Display) -> Self {
        Failure { exit, line: format!("{what}: {why}; {cure}").replace('\n', " ") }
    }

    /// For errors that name the thing and the cure themselves.
    pub fn told(exit: Exit, line: impl fmt::Display) -> Self {
        Failure { exit, line: line.to_string().replace('\n', " ") }
    }

    pub fn usage(line: impl fmt::Display) -> Self {
        Failure::told(Exit::Usage, line)
    }

    pub fn of_store(what: impl fmt::Display, error: &KvError) -> Self {
        let (exit, cure) = match error {
            KvError::Unavailable(_) => (Exit::Unreachable, "check the META-URL and that its store runs"),
            KvError::Permission(_) => (Exit::Permission, "run as the user who owns it, or change its permissions"),
            KvError::NoSpace(_) => (Exit::NoSpace, "make room on that disk and try again"),
            KvError::Damaged(text) if text.contains("newer") => (Exit::Damaged, "install a newer shoal"),
            KvError::Damaged(_) => (Exit::Damaged, "restore it from a backup, or name another META-URL"),
            KvError::Other(text) if text.contains("newer") => (Exit::Damaged, "install a newer shoal"),
            KvError::Other(text) if text.contains("another program") => (Exit::InUse, "name another file"),
            KvError::Conflict => (Exit::Unreachable, "the store is very busy: try again"),
            KvError::UnknownResult(_) => (Exit::Unreachable, "look at the volume with shoal status, then try again"),
            KvError::Limit(_) | KvError::Other(_) => (Exit::Other, "see the log with --log-level debug"),
        };
        Failure::new(exit, what, error, cure)
    }

    pub fn of_metadata(what: impl fmt::Display, error: &MetaError) -> Self {
        match error {
            MetaError::Store(error) => Failure::of_store(what, error),
            MetaError::Refused(errno) => Failure::new(Exit::Other, what, errno, "look at the volume with shoal status"),
        }
    }

    /// `what` is the storage URL, or an object.
    pub fn of_objects(what: impl fmt::Display, error: &StoreError) -> Self {
        let (exit, cure) = match error {
            StoreError::NotFound(_) => (Exit::NotFound, "look for what else is lost: shoal fsck META-URL"),
            StoreError::Exists(_) => (Exit::InUse, "name another folder with --storage"),
            StoreError::Permission(_) => (Exit::Permission, "run as the user who owns it, or change its permissions"),
            StoreError::NoSpace(_) => (Exit::NoSpace, "make room on that disk and try again"),
            StoreError::Unavailable(_) => (Exit::Unreachable, "check the storage URL and that its service runs"),
            StoreError::Other(_) => (Exit::Other, "check the storage and the system's log"),
        };
        Failure::new(exit, what, error, cure)
    }

    pub fn of_io(path: &Path, doing: &str, error: &io::Error) -> Self {
        let (exit, cure) = match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => (Exit::NotFound, "check the path"),
            io::ErrorKind::PermissionDenied => {
                (Exit::Permission, "run as a user who may, or change the permissions of the folder")
            }
            io::ErrorKind::ReadOnlyFilesystem => (Exit::Permission, "name a place that can be written to"),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                (Exit::NoSpace, "make room on that disk and try again")
            }
            _ => (Exit::Other, "check the path and the system's log"),
        };
        Failure::new(exit, path.display(), format_args!("{doing}: {error}"), cure)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

/// An error and what caused it, in one line.
pub fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line = format!("{line}: {error}");
        cause = error.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line_whatever_its_parts_contain() {
        let failure = Failure::new(Exit::Other, "a\nb", "c\nd", "e");
        assert_eq!(failure.to_string(), "a b: c d; e");
    }

    #[test]
    fn kinds_of_store_errors_have_codes_of_their_own() {
        let exit = |error| Failure::of_store("x", &error).exit;
        assert_eq!(exit(KvError::NoSpace(String::new())), Exit::NoSpace);
        assert_eq!(exit(KvError::Permission(String::new())), Exit::Permission);
        assert_eq!(exit(KvError::Damaged("schema 9, which is newer".into())), Exit::Damaged);
        assert_eq!(exit(KvError::Unavailable(String::new())), Exit::Unreachable);
    }
}
