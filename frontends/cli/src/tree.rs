//! The files of a tree, by a list of what is still to be looked at: it may be deeper than a stack.

use crate::failure::{Failure, Outcome};
use rustix::fs::{Mode, OFlags};
use std::fs::{self, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Regular files at and below a path, on its mount, without following symbolic links. Ends after a failure.
pub struct Files {
    device: u64,
    top: PathBuf,
    left: Vec<PathBuf>,
}

impl Files {
    pub fn below(top: &Path) -> Outcome<Self> {
        let device = fs::symlink_metadata(top).map_err(|error| looking(top, &error))?.dev();
        Ok(Files { device, top: top.to_owned(), left: vec![top.to_owned()] })
    }

    /// `None`: it is no file.
    fn look(&mut self, path: PathBuf) -> Outcome<Option<(PathBuf, Metadata)>> {
        let metadata = match fs::symlink_metadata(&path) {
            // Removed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound && path != self.top => return Ok(None),
            metadata => metadata.map_err(|error| looking(&path, &error))?,
        };
        if metadata.dev() != self.device {
            return Ok(None);
        }
        if metadata.is_dir() {
            for entry in fs::read_dir(&path).map_err(|error| looking(&path, &error))? {
                self.left.push(entry.map_err(|error| looking(&path, &error))?.path());
            }
        }
        Ok(metadata.is_file().then_some((path, metadata)))
    }
}

impl Iterator for Files {
    type Item = Outcome<(PathBuf, Metadata)>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(path) = self.left.pop() {
            match self.look(path) {
                Ok(None) => {}
                Ok(Some(file)) => return Some(Ok(file)),
                Err(failure) => {
                    self.left.clear();
                    return Some(Err(failure));
                }
            }
        }
        None
    }
}

/// To ask its mount about it.
pub fn open(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

fn looking(path: &Path, error: &io::Error) -> Failure {
    Failure::of_io(path, "looking at it", error)
}
