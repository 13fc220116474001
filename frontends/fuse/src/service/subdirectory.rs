//! Finds the directory that is to be mounted as the root.

use shoal_client::{LocalVolume, Volume};
use shoal_types::{Errno, FileKind, FsResult, Ino, Name};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;
use std::sync::mpsc;

/// The directory at `path`, taken from the volume's root. Symlinks aren't followed (`ENOTDIR`) and ".." isn't taken
/// (`EINVAL`): the way to a subdirectory must not depend on what users put into the volume.
pub async fn resolve(volume: &Rc<LocalVolume>, path: &Path) -> FsResult<Ino> {
    let mut ino = Ino::ROOT;
    for name in names(path)? {
        let found = volume.lookup(ino, &name).await?;
        if found.kind != FileKind::Directory {
            return Err(Errno::ENOTDIR);
        }
        ino = found.ino;
    }
    Ok(ino)
}

/// As `resolve`, from a thread that is not a shard's.
pub fn resolve_blocking(volume: &Volume, path: &Path) -> FsResult<Ino> {
    let (sender, receiver) = mpsc::channel();
    let path = PathBuf::from(path);
    volume.run(0, move |local| {
        let local = local.clone();
        shoal_runtime::spawn(async move {
            // The receiver waits below for as long as this sender lives.
            let _ = sender.send(resolve(&local, &path).await);
        });
    });
    receiver.recv().unwrap_or(Err(Errno::EIO))
}

fn names(path: &Path) -> FsResult<Vec<Name>> {
    let name = |component: Component<'_>| match component {
        Component::Normal(name) => Some(Name::new(OsStr::as_bytes(name))),
        Component::RootDir | Component::CurDir => None,
        Component::ParentDir | Component::Prefix(_) => Some(Err(Errno::EINVAL)),
    };
    path.components().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_means_the_same_with_and_without_slashes_around_it() {
        let expected: Vec<Name> = [&b"a"[..], b"b"].into_iter().map(|name| Name::new(name).unwrap()).collect();
        for path in ["a/b", "/a/b", "/a//b/", "./a/./b"] {
            assert_eq!(names(Path::new(path)), Ok(expected.clone()), "{path}");
        }
        assert_eq!(names(Path::new("/")), Ok(Vec::new()));
    }

    #[test]
    fn a_path_that_climbs_or_has_impossible_names_is_refused() {
        assert_eq!(names(Path::new("a/../b")), Err(Errno::EINVAL));
        assert_eq!(names(Path::new(&"x".repeat(256))), Err(Errno::ENAMETOOLONG));
    }
}
