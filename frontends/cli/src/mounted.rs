//! From a path to the mount it lies in.

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::meta_url::MetaUrl;
use crate::places;
use crate::state_file::MountState;
use rustix::io::Errno as OsError;
use shoal_fuse::find_mount;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

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
