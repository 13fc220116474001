//! `shoal compact`: has the mount rewrite files whose bytes are in many pieces, or cover others that take room.

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::{count, say};
use crate::progress::Progress;
use crate::size::ByteCount;
use crate::tree::{self, Files};
use shoal_fuse::control::{self, Compaction};
use std::io;
use std::path::{Path, PathBuf};

/// Rewrite files that consist of many pieces
///
/// A file that was written bit by bit, or again and again, is read faster and takes less room afterwards. Mounts do it by
/// themselves for files that have become very long lists. No byte changes, and programs may go on writing.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  shoal compact /mnt/logs/2026-11.log
  shoal compact /mnt/databases

Trees are walked through on their own mount, without following symbolic links.
Only a file's owner and root may do it. A mount rewrites two blocks at a time,
so that it leaves the store to others.")]
pub struct Arguments {
    /// Files and directories on mounts of Shoal volumes
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,
}

#[derive(Default)]
struct Sum {
    files: u64,
    rewritten: u64,
    slices_before: u64,
    slices_after: u64,
    bytes: u64,
}

pub fn run(arguments: Arguments) -> Outcome<Exit> {
    let (mut sum, mut exit) = (Sum::default(), Exit::Success);
    let progress = Progress::count("rewriting files");
    for path in &arguments.paths {
        if let Err(failure) = compact(path, &mut sum, &progress) {
            say(format_args!("shoal: {failure}"));
            exit = failure.exit;
        }
    }
    drop(progress);
    let Sum { files, rewritten, slices_before, slices_after, bytes } = sum;
    let files = count(files, "file", "files");
    let pieces = count(slices_before, "piece", "pieces");
    say(format_args!("{rewritten} of {files} rewritten: {pieces} now {slices_after}, {} stored", ByteCount(bytes)));
    Ok(exit)
}

fn compact(top: &Path, sum: &mut Sum, progress: &Progress) -> Outcome<()> {
    for file in Files::below(top)? {
        compact_file(&file?.0, sum)?;
        progress.set(sum.files);
    }
    Ok(())
}

fn compact_file(path: &Path, sum: &mut Sum) -> Outcome<()> {
    let file = match tree::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file.map_err(|error| Failure::of_io(path, "opening it", &error))?,
    };
    let (mut next, mut rewritten) = (Some(0), false);
    while let Some(first) = next {
        let done: Compaction = control::compact(&file, first).map_err(|error| explain(path, &error))?;
        sum.slices_before += done.slices_before;
        sum.slices_after += done.slices_after;
        sum.bytes += done.bytes;
        rewritten |= done.bytes > 0;
        next = done.next;
    }
    sum.files += 1;
    sum.rewritten += u64::from(rewritten);
    Ok(())
}

fn explain(path: &Path, error: &io::Error) -> Failure {
    let (exit, why, cure) = match rustix::io::Errno::from_io_error(error) {
        Some(rustix::io::Errno::NOTTY) => {
            (Exit::NotFound, "it is not on a mount of a Shoal volume", "see what is mounted: findmnt -t fuse.shoal")
        }
        Some(rustix::io::Errno::PERM) => {
            (Exit::Permission, "only its owner and root may have it rewritten", "run as one of them")
        }
        Some(rustix::io::Errno::ROFS) => {
            (Exit::Permission, "the mount changes nothing", "mount the volume without --read-only")
        }
        _ => return Failure::of_io(path, "rewriting it", error),
    };
    Failure::new(exit, path.display(), why, cure)
}
