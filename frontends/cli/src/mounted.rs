//! From a path to the mount it lies in.

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::meta_url::MetaUrl;
use crate::places;
use crate::state_file::MountState;
use rustix::io::Errno as OsError;
use shoal_fuse::find_mount;
use shoal_metadata::Metadata;
use shoal_types::{Ino, Name};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// The full path, free of symbolic links but for a last name that is one itself, and the live mount that holds it.
pub fn around(given: &Path) -> Outcome<(PathBuf, Option<MountState>)> {
    let path = full(given).map_err(|error| explain(given, &error))?;
    let state = MountState::find_around(&path)?;
    if state.is_none()
        && let Some(mount_point) = mount_of_ours(&path)
    {
        return Err(Failure::new(
            Exit::Permission,
            given.display(),
            format_args!("the volume on {} was mounted by another user", mount_point.display()),
            "run as that user or as root, or name the volume by its META-URL",
        ));
    }
    Ok((path, state))
}

/// As `around`, for commands about what is in a mounted volume.
pub fn within(given: &Path) -> Outcome<(PathBuf, MountState)> {
    match around(given)? {
        (path, Some(state)) => Ok((path, state)),
        (_, None) => Err(Failure::new(
            Exit::NotFound,
            given.display(),
            "this is not in a mounted volume",
            "name a file below a mount point; see those: findmnt -t fuse.shoal",
        )),
    }
}

/// The mount tells inode numbers of the volume, except that what it shows as its root may be any folder.
pub fn inode_of(path: &Path, state: &MountState, volume: &Metadata) -> Outcome<Ino> {
    if path != state.mount_point {
        let metadata = fs::symlink_metadata(path).map_err(|error| Failure::of_io(path, "looking at it", &error))?;
        return Ok(Ino(metadata.ino()));
    }
    let subdir = state.subdir.as_deref().unwrap_or(Path::new(""));
    let names = subdir.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.as_bytes()),
        _ => None,
    });
    let mut ino = Ino::ROOT;
    for name in names {
        let found = Name::new(name).map_err(Into::into).and_then(|name| volume.lookup(ino, &name));
        ino = found.map_err(|error| Failure::of_metadata(path.display(), &error))?.ino;
    }
    Ok(ino)
}

/// The volume at a META-URL, or mounted at this path.
pub fn url_of(text: &str) -> Outcome<MetaUrl> {
    if MetaUrl::looks_like_one(text) {
        return text.parse();
    }
    match around(Path::new(text))? {
        (_, Some(state)) => Ok(state.meta_url),
        (_, None) => Err(Failure::new(
            Exit::NotFound,
            text,
            "no volume is mounted here",
            "name the volume by its META-URL, or see what is mounted: findmnt -t fuse.shoal",
        )),
    }
}

fn full(given: &Path) -> io::Result<PathBuf> {
    if !fs::symlink_metadata(given)?.is_symlink() {
        return given.canonicalize();
    }
    let path = std::path::absolute(given)?;
    match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) => Ok(folder.canonicalize()?.join(name)),
        _ => given.canonicalize(),
    }
}

fn explain(given: &Path, error: &io::Error) -> Failure {
    if OsError::from_io_error(error) != Some(OsError::NOTCONN) {
        return Failure::of_io(given, "looking at it", error);
    }
    let shown = places::absolute(given).unwrap_or_else(|_| given.to_owned());
    let mount_point = mount_of_ours(&shown).unwrap_or(shown);
    Failure::new(
        Exit::NotFound,
        given.display(),
        "the daemon of this mount has died",
        format_args!("mount it again, or clean up: shoal umount {}", mount_point.display()),
    )
}

/// The mount of this program that holds an absolute path, whoever made it and whether its daemon lives or not.
pub fn mount_of_ours(path: &Path) -> Option<PathBuf> {
    let entry = path.ancestors().find_map(|above| find_mount(above).ok().flatten())?;
    entry.is_ours().then(|| PathBuf::from(&entry.mount_point))
}
