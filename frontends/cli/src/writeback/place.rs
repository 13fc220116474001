//! Write-back folders on this host: `BASE/VOLUME/NUMBER`, each with a lock and the objects below `objects`.
//!
//! A mount has one to itself while it lives. The next mount of the volume takes a free one, and what mounts that are gone
//! have left in others.

use crate::failure::{Failure, Outcome};
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use shoal_object_store::{FsStore, ListedObject, ObjectStore};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use twox_hash::XxHash3_64;

pub struct Place {
    path: PathBuf,
    /// Of this file, as long as it's open.
    _lock: File,
}

/// How much is in a folder.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Content {
    pub objects: u64,
    pub bytes: u64,
}

impl Place {
    /// The first that nobody has, made if there is none.
    pub fn claim(volume_folder: &Path) -> Outcome<Self> {
        let failed = |error| Failure::of_io(volume_folder, "making a write-back folder", &error);
        for number in 0u32.. {
            let path = volume_folder.join(number.to_string());
            // It holds the bytes of everybody's files.
            DirBuilder::new().recursive(true).mode(0o700).create(path.join(OBJECTS)).map_err(failed)?;
            if let Some(place) = Place::lock(path).map_err(failed)? {
                place.sync().map_err(failed)?;
                return Ok(place);
            }
        }
        unreachable!("a host has fewer mounts than there are numbers")
    }

    /// What mounts that are gone have left: places that nobody has and that are not empty.
    pub fn left_behind(volume_folder: &Path) -> Outcome<Vec<Self>> {
        let failed = |error| Failure::of_io(volume_folder, "looking for what was not uploaded", &error);
        let mut left = Vec::new();
        for path in entries(volume_folder).map_err(failed)? {
            let is_number =
                path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.parse::<u32>().is_ok());
            if is_number
                && !objects(&path)?.is_empty()
                && let Some(place) = Place::lock(path).map_err(failed)?
            {
                left.push(place);
            }
        }
        Ok(left)
    }

    fn lock(path: PathBuf) -> io::Result<Option<Self>> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(path.join("lock"), flags, Mode::from_raw_mode(0o600))?);
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Place { path, _lock: file })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn objects(&self) -> PathBuf {
        self.path.join(OBJECTS)
    }

    /// Takes over all objects of another place. What has been moved when this is interrupted is here.
    pub fn take_over(&self, other: &Place) -> Outcome<()> {
        let failed = |error| Failure::of_io(&other.path, "taking over what is in it", &error);
        for ListedObject { key, .. } in objects(&other.path)? {
            let to = self.objects().join(&key);
            let folder = to.parent().expect("it lies below a folder");
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
            fs::rename(other.objects().join(&key), &to).map_err(failed)?;
        }
        self.sync().map_err(failed)
    }

    /// The names of everything, on both sides of a move.
    fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(File::open(&self.path)?)?)
    }
}

/// The number under which the metadata knows a folder.
pub fn number(host: &str, path: &Path) -> u64 {
    XxHash3_64::oneshot(format!("{host}\0{}", path.display()).as_bytes())
}

/// What is there to be uploaded.
pub fn content(path: &Path) -> Outcome<Content> {
    let objects = objects(path)?;
    Ok(Content { objects: objects.len() as u64, bytes: objects.iter().map(|object| object.bytes).sum() })
}

/// All objects that lie there. A folder that isn't there is empty.
pub fn objects(path: &Path) -> Outcome<Vec<ListedObject>> {
    let folder = path.join(OBJECTS);
    let failed = |error| Failure::of_io(&folder, "looking for what was not uploaded", &error);
    if !folder.try_exists().map_err(failed)? {
        return Ok(Vec::new());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(failed)?;
    let mut objects = Vec::new();
    let mut note = |object| {
        objects.push(object);
        Ok(())
    };
    FsStore::open(&folder)
        .and_then(|store| runtime.block_on(store.list("", &mut note)))
        .map_err(|error| Failure::of_objects(folder.display(), &error))?;
    Ok(objects)
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

const OBJECTS: &str = "objects";

#[cfg(test)]
mod tests {
    use super::*;

    fn put(place: &Place, name: &str, bytes: &[u8]) {
        let path = place.objects().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    #[test]
    fn each_mount_has_a_folder_of_its_own_and_the_next_one_takes_what_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let volume = folder.path().join("volume");
        let (first, second) = (Place::claim(&volume).unwrap(), Place::claim(&volume).unwrap());
        assert_ne!(first.path(), second.path());
        put(&first, "v/objects/9e/1", b"one");
        put(&second, "v/objects/9e/2", b"two and");
        put(&second, "v/objects/9f/.putting-3", b"not an object");
        assert!(Place::left_behind(&volume).unwrap().is_empty(), "both live");
        drop((first, second));
        let next = Place::claim(&volume).unwrap();
        let left = Place::left_behind(&volume).unwrap();
        assert_eq!(left.len(), 1);
        next.take_over(&left[0]).unwrap();
        assert_eq!(content(left[0].path()).unwrap(), Content::default());
        assert_eq!(content(next.path()).unwrap(), Content { objects: 2, bytes: 10 });
        let mut found: Vec<String> = objects(next.path()).unwrap().into_iter().map(|object| object.key).collect();
        found.sort();
        assert_eq!(found, ["v/objects/9e/1", "v/objects/9e/2"]);
        drop(left);
        assert!(Place::left_behind(&volume).unwrap().is_empty(), "the other is empty");
    }

    #[test]
    fn a_folder_that_is_not_there_is_empty() {
        assert_eq!(content(Path::new("/does/not/exist")).unwrap(), Content::default());
        assert!(Place::left_behind(Path::new("/does/not/exist")).unwrap().is_empty());
    }
}
