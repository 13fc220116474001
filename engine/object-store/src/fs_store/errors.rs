//! From the kernel's errors to ours. Each names the path it happened on.

use crate::StoreError;
use rustix::io::Errno;
use std::path::Path;

pub(super) fn store_error(path: &Path, errno: Errno) -> StoreError {
    let text = format!("{}: {}", path.display(), std::io::Error::from(errno));
    match errno {
        Errno::NOENT => StoreError::NotFound(path.display().to_string()),
        Errno::EXIST => StoreError::Exists(path.display().to_string()),
        Errno::NOSPC | Errno::DQUOT => StoreError::NoSpace(text),
        Errno::ACCESS | Errno::PERM | Errno::ROFS => StoreError::Permission(text),
        // A network file system that lost its server, or a process that has too many files open: both pass.
        Errno::TIMEDOUT | Errno::STALE | Errno::AGAIN | Errno::INTR | Errno::MFILE | Errno::NFILE | Errno::NOMEM => {
            StoreError::Unavailable(text)
        }
        _ => StoreError::Other(text),
    }
}

/// The same for what the standard library reports.
pub(super) fn from_io(path: &Path, error: &std::io::Error) -> StoreError {
    match Errno::from_io_error(error) {
        Some(errno) => store_error(path, errno),
        None => StoreError::Other(format!("{}: {error}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_names_its_path_and_what_to_do_about_it() {
        let map = |errno| store_error(Path::new("/o/1"), errno);
        assert!(map(Errno::NOENT).is_not_found());
        assert!(matches!(map(Errno::DQUOT), StoreError::NoSpace(text) if text.starts_with("/o/1: ")));
        assert!(matches!(map(Errno::ROFS), StoreError::Permission(_)));
        assert!(matches!(map(Errno::STALE), StoreError::Unavailable(_)));
        assert!(matches!(map(Errno::IO), StoreError::Other(text) if text.contains("/o/1")));
        assert!(matches!(from_io(Path::new("/o/1"), &std::io::Error::other("odd")), StoreError::Other(_)));
    }
}
