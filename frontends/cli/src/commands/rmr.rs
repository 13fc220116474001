//! `shoal rmr`: removes trees at once, however large. What is left to do is the mounts' work.

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::say;
use crate::progress::Progress;
use rustix::fs::{CWD, Mode, OFlags, openat};
use shoal_fuse::control;
use shoal_fuse::mounts_below;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Remove directories with all that is in them, at once
///
/// A tree disappears in one step and goes to the trash as it is, if the volume keeps one. Otherwise mounts give up what
/// was in it in the background; a killed mount's work is done by the next.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  shoal rmr /mnt/photos/2019
  shoal rmr --skip-trash --wait /mnt/builds/*

Needed are the rights that rm -r needs. For users other than root every
directory is looked at first, which takes the longer the more there are.
A tree in which anything is immutable or append-only (chattr) is refused.")]
pub struct Arguments {
    /// Directories on mounts of Shoal volumes; anything else is removed as rm does
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,
    /// Remove for good, also where the volume keeps a trash
    #[arg(long)]
    pub skip_trash: bool,
    /// Return when nothing waits for its removal any more
    #[arg(long)]
    pub wait: bool,
}

pub fn run(arguments: Arguments) -> Outcome<Exit> {
    let mut exit = Exit::Success;
    let mut removed = Vec::new();
    for path in &arguments.paths {
        match remove(path, arguments.skip_trash) {
            Ok(directory) => removed.extend(directory),
            Err(failure) => {
                say(format_args!("shoal: {failure}"));
                exit = failure.exit;
            }
        }
    }
    if arguments.wait {
        removed.iter().try_for_each(await_removal)?;
    }
    Ok(exit)
}

/// Gives back the directory it was in, through which its volume can be asked.
fn remove(path: &Path, skip_trash: bool) -> Outcome<Option<OwnedFd>> {
    let failed = |error: &io::Error| explain(path, error);
    let full = named(path)?;
    let (Some(folder), Some(name)) = (full.parent(), full.file_name()) else {
        return Err(failed(&io::Error::from(rustix::io::Errno::BUSY)));
    };
    if !fs::symlink_metadata(&full).map_err(|error| failed(&error))?.is_dir() {
        if skip_trash {
            return Err(Failure::new(
                Exit::Usage,
                path.display(),
                "--skip-trash is for directories",
                "remove it with rm, and again in the trash",
            ));
        }
        return fs::remove_file(&full).map(|()| None).map_err(|error| failed(&error));
    }
    if let Some(mount) = mounts_below(&full).map_err(|error| failed(&error))?.first() {
        return Err(Failure::new(
            Exit::InUse,
            path.display(),
            format_args!("something is mounted on {}", mount.display()),
            "unmount that first",
        ));
    }
    let directory = open(&full).map_err(|error| failed(&error))?;
    control::remove_tree(&directory, name.as_bytes(), !skip_trash).map_err(|error| failed(&error))?;
    // The mount's work on the tree waits for those who have it open.
    drop(directory);
    // Without the right to read there, nobody can be asked how far it is.
    Ok(open(folder).ok())
}

/// Its full name, with no symbolic link on the way; the last name is taken as it is.
fn named(path: &Path) -> Outcome<PathBuf> {
    let full = std::path::absolute(path).map_err(|error| explain(path, &error))?;
    let (Some(folder), Some(name)) = (full.parent(), path.file_name()) else {
        return Err(Failure::new(Exit::Usage, path.display(), "this names no directory", "name one by its own name"));
    };
    Ok(folder.canonicalize().map_err(|error| explain(path, &error))?.join(name))
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(CWD, path, flags, Mode::empty())?)
}

fn await_removal(directory: &OwnedFd) -> Outcome<()> {
    let progress = Progress::count("waiting for their removal");
    loop {
        let left = control::removals(directory).map_err(|error| explain(Path::new("the volume"), &error))?;
        if left == 0 {
            return Ok(());
        }
        progress.set(left);
        std::thread::sleep(LOOK_INTERVAL);
    }
}

fn explain(path: &Path, error: &io::Error) -> Failure {
    let (exit, why, cure) = match rustix::io::Errno::from_io_error(error) {
        Some(rustix::io::Errno::NOTTY) => {
            (Exit::NotFound, "it is not on a mount of a Shoal volume".to_owned(), "remove it with rm -r")
        }
        Some(rustix::io::Errno::BUSY) => (Exit::InUse, "it is the root of the mount".to_owned(), "name what is in it"),
        Some(rustix::io::Errno::PERM) => (
            Exit::Permission,
            "it may not be removed as a whole: it is an hour of the trash, or something in it is sticky".to_owned(),
            "remove it with rm -r",
        ),
        Some(rustix::io::Errno::ACCESS) => (
            Exit::Permission,
            "this user may not remove it, or something in it".to_owned(),
            "ask its owner, or see with rm -r how far the rights go",
        ),
        Some(rustix::io::Errno::ROFS) => (Exit::Permission, error.to_string(), "mount the volume without --read-only"),
        Some(rustix::io::Errno::NOENT) => (Exit::NotFound, error.to_string(), "check the path"),
        _ => return Failure::of_io(path, "removing it", error),
    };
    Failure::new(exit, path.display(), why, cure)
}

const LOOK_INTERVAL: Duration = Duration::from_millis(200);
