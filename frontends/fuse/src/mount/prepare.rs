//! Is this a place to mount on? And if a dead daemon of ours left its mount there, clean it away.

use super::mount_table::find_mount;
use super::{MountError, unmount};
use rustix::io::Errno as OsError;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

/// Dead mounts can lie on top of each other; more than this is no accident.
const DEAD_MOUNTS_MAX: usize = 16;

/// The absolute path of a directory with no mount of ours on it.
pub(super) fn mount_point(given: &Path) -> Result<PathBuf, MountError> {
    let path = absolute(given).map_err(|error| unusable(given, error))?;
    for _ in 0..DEAD_MOUNTS_MAX {
        match look_at(&path) {
            Ok(metadata) if metadata.is_dir() => return refuse_live_mount(path),
            Ok(_) => return Err(MountError::NotADirectory(path)),
            Err(error) if is_dead(&error) => clean(&path)?,
            Err(error) => return Err(unusable(&path, error)),
        }
    }
    let kind = "unknown".to_owned();
    Err(MountError::DeadForeign { path, kind })
}

/// The kernel may know attributes of a dead mount by heart; statfs always asks its daemon, and so finds out.
fn look_at(path: &Path) -> io::Result<Metadata> {
    let metadata = std::fs::metadata(path)?;
    match rustix::fs::statfs(path).map_err(io::Error::from) {
        Err(error) if is_dead(&error) => Err(error),
        // Any other answer comes from someone who lives.
        _ => Ok(metadata),
    }
}

/// `given` without symbolic links. The last component of a dead mount can't be asked, so it is taken as it is.
fn absolute(given: &Path) -> io::Result<PathBuf> {
    match given.canonicalize() {
        Err(error) if is_dead(&error) => {
            let path = std::path::absolute(given)?;
            match (path.parent(), path.file_name()) {
                (Some(parent), Some(name)) => Ok(parent.canonicalize()?.join(name)),
                _ => Err(error),
            }
        }
        result => result,
    }
}

/// "Transport endpoint is not connected": the daemon is gone and its mount is still there.
fn is_dead(error: &io::Error) -> bool {
    matches!(OsError::from_io_error(error), Some(OsError::NOTCONN | OsError::CONNABORTED))
}

fn unusable(path: &Path, error: io::Error) -> MountError {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::NotFound => MountError::Missing(path),
        io::ErrorKind::NotADirectory => MountError::NotADirectory(path),
        _ => MountError::Unreachable { path, source: error },
    }
}

fn refuse_live_mount(path: PathBuf) -> Result<PathBuf, MountError> {
    match find_mount(&path) {
        Ok(Some(entry)) if entry.is_ours() => {
            let volume = entry.source.strip_prefix(super::SOURCE_PREFIX).unwrap_or(&entry.source).to_owned();
            Err(MountError::AlreadyMounted { path, volume })
        }
        Ok(_) => Ok(path),
        Err(source) => Err(MountError::Unreachable { path, source }),
    }
}

fn clean(path: &Path) -> Result<(), MountError> {
    let entry = find_mount(path).map_err(|source| MountError::Unreachable { path: path.to_owned(), source })?;
    match entry {
        Some(entry) if entry.is_ours() => {
            tracing::info!(mount_point = %path.display(), "cleaning up the mount of a daemon that died");
            unmount(path, true).map_err(|source| MountError::DeadMount { path: path.to_owned(), source })
        }
        entry => {
            let kind = entry.map_or_else(|| "unknown".to_owned(), |entry| entry.kind);
            Err(MountError::DeadForeign { path: path.to_owned(), kind })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_directory_is_refused_by_name() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let missing = folder.path().join("missing");
        assert!(matches!(mount_point(&missing), Err(MountError::Missing(path)) if path == missing));
        let file = folder.path().join("file");
        std::fs::write(&file, b"").expect("write");
        assert!(matches!(mount_point(&file), Err(MountError::NotADirectory(_))));
        assert!(matches!(mount_point(&file.join("below")), Err(MountError::NotADirectory(_))));
        let real = folder.path().canonicalize().expect("canonical");
        assert_eq!(mount_point(folder.path()).expect("a fine place"), real);
    }
}
