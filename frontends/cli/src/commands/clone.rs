//! `shoal clone`: a file or a tree of a mounted volume copied by reference, all at once.
//!
//! The daemon of the mount does it, because it knows what is buffered and what it may tell its kernel. This program holds
//! what the clone hangs by: a file without a name in the directory that DST goes into. However it ends, the kernel closes that
//! file, and a clone that is not finished goes with it.

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::{count, say};
use crate::progress::Progress;
use crate::size::ByteCount;
use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno as OsError;
use shoal_fuse::protocol::{CloneOut, CloneOutState};
use shoal_types::{Errno, Name};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Copy a file or a directory with all below it by reference
///
/// No byte is read or written: both sides refer to the same objects, and each goes its own way from then on. DST appears whole
/// in the end, or not at all.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  shoal clone /mnt/photos/2026 /mnt/photos/2026-before-cleanup
  shoal clone /mnt/vm/base.img /mnt/vm/guest7.img

Both are on one mount, and DST does not exist. Kept is what cp -a keeps; hard
links within SRC are hard links within DST. A command that is killed leaves
nothing. See docs/clone.md for what is promised while SRC changes.")]
pub struct Arguments {
    /// A file or directory on a mount; symbolic links are not followed
    #[arg(value_name = "SRC")]
    source: PathBuf,
    /// What is to appear, in a directory of the same mount
    #[arg(value_name = "DST")]
    target: PathBuf,
}

pub fn run(arguments: Arguments) -> Outcome<Exit> {
    let clone = Clone::begin(&arguments)?;
    let progress = Progress::count("cloning");
    loop {
        let CloneOut { entries, bytes, state } =
            shoal_fuse::work_on_clone(&clone.lifeline).map_err(|errno| clone.failed(errno))?;
        progress.set(entries);
        match state {
            CloneOutState::Working => {}
            CloneOutState::Refused(errno, path) => return Err(refused(errno, &path)),
            CloneOutState::Done => {
                drop(progress);
                let names = count(entries, "name", "names");
                say(format_args!("{}: {names}, {} shared", clone.target.display(), ByteCount(bytes)));
                return Ok(Exit::Success);
            }
        }
    }
}

struct Clone<'a> {
    target: &'a Path,
    lifeline: OwnedFd,
}

impl<'a> Clone<'a> {
    fn begin(Arguments { source, target }: &'a Arguments) -> Outcome<Self> {
        let name = target.file_name().ok_or_else(|| no_name(target))?;
        let name =
            Name::new(name.as_bytes()).map_err(|errno| Failure::new(Exit::Usage, target.display(), errno, NAME_IT))?;
        let (file, stat) = open_source(source)?;
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let lifeline = rustix::fs::open(folder, flags, Mode::empty());
        let lifeline =
            lifeline.map_err(|error| Failure::of_io(folder, "making a name in it", &io::Error::from(error)))?;
        let beside = stat_of(&lifeline, folder)?;
        if beside.st_dev != stat.st_dev {
            return Err(Failure::new(
                Exit::Usage,
                target.display(),
                format_args!("it is not on the mount that {} is on", source.display()),
                "name both by one mount of one volume; between volumes only copying helps",
            ));
        }
        // What programs have written through mappings reaches the daemon by this.
        rustix::fs::syncfs(&file).map_err(|error| Failure::of_io(source, "writing back", &io::Error::from(error)))?;
        let clone = Clone { target, lifeline };
        shoal_fuse::offer_clone_source(&file, beside.st_ino)
            .and_then(|()| shoal_fuse::begin_clone(&clone.lifeline, &name))
            .map_err(|errno| match errno {
                Errno::ENOTTY => not_ours(source),
                Errno::EACCES => refused(errno, source.as_os_str().as_bytes()),
                errno => clone.failed(errno),
            })?;
        Ok(clone)
    }

    fn failed(&self, errno: Errno) -> Failure {
        let (exit, why, cure) = match errno {
            Errno::EEXIST => (Exit::InUse, "it exists", "name another DST, or remove this one"),
            Errno::ENOENT => (Exit::NotFound, "SRC or the directory of DST is gone", "check both paths"),
            Errno::EDQUOT => {
                (Exit::NoSpace, "a quota has no room for it", "see which one: shoal quota list MOUNTPOINT")
            }
            Errno::ENOSPC => {
                (Exit::NoSpace, "the volume has no room for it", "see its limits: shoal quota list MOUNTPOINT")
            }
            Errno::EXDEV => (
                Exit::InUse,
                "its directory has come to be counted for another quota meanwhile",
                "try again when shoal quota set or delete has ended",
            ),
            Errno::ESTALE => (Exit::Unreachable, "the mount has lost its session", "mount the volume again"),
            Errno::EPROTO => (Exit::Other, "the mount is of another version of shoal", "mount the volume anew"),
            errno => {
                let error = io::Error::from_raw_os_error(errno.0);
                return Failure::of_io(self.target, "cloning", &error);
            }
        };
        Failure::new(exit, self.target.display(), why, cure)
    }
}

fn open_source(source: &Path) -> Outcome<(OwnedFd, Stat)> {
    // A special file must not be opened: that can do something, or wait.
    let looked = rustix::fs::open(source, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
    let looked = looked.map_err(|error| Failure::of_io(source, "looking at it", &io::Error::from(error)))?;
    match FileType::from_raw_mode(stat_of(&looked, source)?.st_mode) {
        FileType::RegularFile | FileType::Directory => {}
        _ => {
            return Err(Failure::new(
                Exit::Usage,
                source.display(),
                "this is neither a file nor a directory",
                "copy it with cp -a: there is nothing to share",
            ));
        }
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(source, flags, Mode::empty());
    let file = file.map_err(|error| Failure::of_io(source, "opening it to read", &io::Error::from(error)))?;
    let stat = stat_of(&file, source)?;
    Ok((file, stat))
}

fn stat_of(file: &OwnedFd, path: &Path) -> Outcome<Stat> {
    rustix::fs::fstat(file).map_err(|error: OsError| Failure::of_io(path, "looking at it", &io::Error::from(error)))
}

fn no_name(target: &Path) -> Failure {
    Failure::new(Exit::Usage, target.display(), "this is no new name", NAME_IT)
}

fn not_ours(source: &Path) -> Failure {
    Failure::new(
        Exit::NotFound,
        source.display(),
        "it is not on a mounted volume",
        "see what is mounted: findmnt -t fuse.shoal",
    )
}

/// One thing in the source stands against it all.
fn refused(errno: Errno, path: &[u8]) -> Failure {
    let path = String::from_utf8_lossy(path);
    match errno {
        Errno::EACCES => Failure::new(
            Exit::Permission,
            path,
            "you may not read it, so nothing was cloned",
            "run as a user who may, or clone a part of it",
        ),
        Errno::EPERM => Failure::new(
            Exit::Permission,
            path,
            "only root makes devices, so nothing was cloned",
            "run as root, or clone a part of it",
        ),
        Errno::EBUSY => Failure::new(
            Exit::InUse,
            path,
            "this large file was changed while it was cloned, so nothing was cloned",
            "try again while nobody writes to it",
        ),
        errno => Failure::new(Exit::Other, path, errno, "look at the mount's log"),
    }
}

const NAME_IT: &str = "name what is to appear, in a directory that exists";
