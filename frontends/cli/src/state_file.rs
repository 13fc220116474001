//! One small file for each live mount: how `umount`, `status` and `info` find its daemon and its volume.
//!
//! The daemon writes it when it serves and removes it at its very end. A daemon whose end went wrong leaves it behind
//! with the reason. A daemon that was killed leaves it as it is; who reads it checks that the process lives.

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::meta_url::MetaUrl;
use crate::places;
use crate::process::ProcessIdentity;
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use twox_hash::XxHash3_64;

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MountState {
    pub process: ProcessIdentity,
    pub meta_url: MetaUrl,
    pub volume: String,
    /// Absolute and free of symbolic links.
    pub mount_point: PathBuf,
    /// The folder of the volume that is shown.
    pub subdir: Option<PathBuf>,
    pub log_file: Option<PathBuf>,
    /// Where objects wait to be uploaded.
    pub writeback: Option<PathBuf>,
    /// Set at the end of a mount whose last writes could not be kept.
    pub failure: Option<String>,
}

impl MountState {
    pub fn write(&self) -> Outcome<()> {
        self.write_to(&places::runtime_folder()?)
    }

    fn write_to(&self, folder: &Path) -> Outcome<()> {
        let path = folder.join(file_name(&self.mount_point));
        let text = serde_json::to_vec(self)
            .map_err(|error| Failure::new(Exit::Other, path.display(), error, "use names in UTF-8"))?;
        put(folder, &path, &text).map_err(|error| Failure::of_io(&path, "writing the mount's state file", &error))
    }

    pub fn remove(mount_point: &Path) -> Outcome<()> {
        remove_in(&places::runtime_folder()?, mount_point)
    }

    /// What is known of the mount on exactly this absolute path, its daemon alive or not.
    pub fn find(mount_point: &Path) -> Outcome<Option<Self>> {
        find_in(&places::runtime_folders()?, mount_point)
    }

    /// The live mount that holds `path`, which is absolute and free of symbolic links.
    pub fn find_around(path: &Path) -> Outcome<Option<Self>> {
        for above in path.ancestors() {
            match MountState::find(above)? {
                Some(state) if state.process.is_alive() => return Ok(Some(state)),
                _ => {}
            }
        }
        Ok(None)
    }
}

/// Whole or not at all, and for the owner's eyes only: a META-URL may hold a password.
fn put(folder: &Path, path: &Path, text: &[u8]) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    let draft = path.with_extension(format!("{}.draft", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(text)?;
    fs::rename(draft, path)
}

fn remove_in(folder: &Path, mount_point: &Path) -> Outcome<()> {
    let path = folder.join(file_name(mount_point));
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failure::of_io(&path, "removing the mount's state file", &error))
        }
        _ => Ok(()),
    }
}

fn find_in(folders: &[PathBuf], mount_point: &Path) -> Outcome<Option<MountState>> {
    for folder in folders {
        let path = folder.join(file_name(mount_point));
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => continue,
            // Another user's mount is none that this one can know of.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => continue,
            Err(error) => return Err(Failure::of_io(&path, "reading the mount's state file", &error)),
        };
        // A file of another version, or two mount points with one hash: as good as none.
        match serde_json::from_slice::<MountState>(&text) {
            Ok(state) if state.mount_point == mount_point => return Ok(Some(state)),
            Ok(_) => {}
            Err(error) => tracing::warn!(path = %path.display(), %error, "a state file was not understood"),
        }
    }
    Ok(None)
}

fn file_name(mount_point: &Path) -> String {
    format!("{:016x}.json", XxHash3_64::oneshot(mount_point.as_os_str().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(mount_point: &str) -> MountState {
        MountState {
            process: ProcessIdentity::of_self().unwrap(),
            meta_url: MetaUrl::Sqlite("/srv/x.db".into()),
            volume: "x".into(),
            mount_point: mount_point.into(),
            subdir: None,
            log_file: None,
            writeback: None,
            failure: None,
        }
    }

    #[test]
    fn a_damaged_state_is_as_good_as_none_or_still_one_of_its_mount_point() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().to_path_buf()];
        state("/mnt/a").write_to(&folders[0]).unwrap();
        let path = folder.path().join(file_name(Path::new("/mnt/a")));
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            for byte in [b'0', b'"', b'}', 0, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] = byte;
                for text in [&damaged[..], &damaged[..at]] {
                    fs::write(&path, text).unwrap();
                    let found = find_in(&folders, Path::new("/mnt/a")).unwrap();
                    assert!(found.is_none_or(|state| state.mount_point == Path::new("/mnt/a")));
                }
            }
        }
    }

    #[test]
    fn a_state_is_found_by_its_mount_point_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().join("none"), folder.path().join("mounts")];
        let (first, second) = (state("/mnt/a"), state("/mnt/b"));
        first.write_to(&folders[1]).unwrap();
        second.write_to(&folders[1]).unwrap();
        let changed = MountState { failure: Some("disk full".into()), ..first.clone() };
        changed.write_to(&folders[1]).unwrap();
        assert_eq!(find_in(&folders, Path::new("/mnt/a")).unwrap(), Some(changed));
        assert_eq!(find_in(&folders, Path::new("/mnt/b")).unwrap(), Some(second));
        assert_eq!(find_in(&folders, Path::new("/mnt")).unwrap(), None);
        remove_in(&folders[1], Path::new("/mnt/a")).unwrap();
        remove_in(&folders[1], Path::new("/mnt/a")).unwrap();
        assert_eq!(find_in(&folders, Path::new("/mnt/a")).unwrap(), None);
        // Nothing but the other state is left behind.
        assert_eq!(fs::read_dir(&folders[1]).unwrap().count(), 1);
    }

    #[test]
    fn what_is_not_understood_is_as_good_as_none() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(file_name(Path::new("/mnt/a"))), b"{}").unwrap();
        assert_eq!(find_in(&[folder.path().into()], Path::new("/mnt/a")).unwrap(), None);
    }
}
