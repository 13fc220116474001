//! `shoal warmup`: has a mount fetch files into its cache before they are needed, and keep, count or drop them there.

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::{columns, count, print, print_json, say};
use crate::progress::Progress;
use crate::size::ByteCount;
use crate::tree::{self, Files};
use rustix::io::Errno as OsError;
use shoal_fuse::control::{self, CacheOrder};
use std::collections::HashSet;
use std::fs::Metadata;
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard};

/// Fetch files into the cache of a mount before they are needed
///
/// Reads the files from the object store, checks them, and keeps them on the local disk; what is there already is checked
/// and not fetched again. Without --pin, what is warmed later may take the place of what was warmed first.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  shoal warmup /mnt/photos/2026
  shoal warmup --pin --threads 32 /mnt/models/llm.bin   # stays until it is unpinned
  shoal warmup --check /mnt/photos /mnt/models          # how much of each is cached
  shoal warmup --unpin /mnt/models
  shoal warmup --evict /mnt/photos/2019

Trees are walked through on their own mount, without following symbolic links.
Whoever may read a file may have it fetched; to pin, unpin and evict it is for
its owner, for the user who mounted the volume, and for root.
--check --json prints a list of objects; names stay, new ones may come:
  path, files, pinned (files), cached (bytes), bytes (that could be cached)
Exit code 7: not all of it has room in the cache (for --check: 0).")]
pub struct Arguments {
    /// Files and directories on mounts of Shoal volumes
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,
    /// Pieces of files that are worked on at the same time
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: u16,
    /// Also keep them there: nothing new takes the place of a pinned file
    #[arg(long, group = "doing")]
    pub pin: bool,
    /// Let them be evicted like any; nothing is fetched or dropped
    #[arg(long, group = "doing")]
    pub unpin: bool,
    /// Drop what is cached of them, pinned or not; it stays in the object store
    #[arg(long, group = "doing")]
    pub evict: bool,
    /// Only tell how much of each PATH is cached
    #[arg(long, group = "doing")]
    pub check: bool,
    /// For programs
    #[arg(long, requires = "check")]
    pub json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Doing {
    Warm,
    WarmAndPin,
    Unpin,
    Evict,
    Check,
}

/// A piece of a file, for whichever thread comes first.
struct Piece {
    path: PathBuf,
    range: Range<u64>,
    /// Which of the paths on the command line it belongs to.
    of: usize,
}

/// What was found below one path of the command line.
#[derive(Clone, Default)]
struct Sum {
    files: u64,
    pinned: u64,
    cached: u64,
    bytes: u64,
    /// Nothing below it can be asked for.
    refused: bool,
    /// A folder of the cache has failed, which was told once.
    without_folder: bool,
}

struct Work {
    doing: Doing,
    sums: Mutex<Vec<Sum>>,
    exit: Mutex<Exit>,
    progress: Progress,
}

pub fn run(arguments: Arguments) -> Outcome<Exit> {
    let doing = match &arguments {
        Arguments { pin: true, .. } => Doing::WarmAndPin,
        Arguments { unpin: true, .. } => Doing::Unpin,
        Arguments { evict: true, .. } => Doing::Evict,
        Arguments { check: true, .. } => Doing::Check,
        _ => Doing::Warm,
    };
    let work = Work {
        doing,
        sums: Mutex::new(vec![Sum::default(); arguments.paths.len()]),
        exit: Mutex::new(Exit::Success),
        progress: Progress::bytes(doing.shown(), 0),
    };
    let (sender, pieces) = sync_channel(PIECES_WAITING_MAX);
    let pieces = Mutex::new(pieces);
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads {
            scope.spawn(|| work.take_pieces(&pieces));
        }
        work.find_all(&arguments, &sender);
        drop(sender);
    });
    work.tell(&arguments)
}

impl Doing {
    fn shown(self) -> &'static str {
        match self {
            Doing::Warm | Doing::WarmAndPin => "warming up",
            Doing::Unpin => "unpinning",
            Doing::Evict => "dropping from the cache",
            Doing::Check => "looking",
        }
    }

    fn fills(self) -> bool {
        matches!(self, Doing::Warm | Doing::WarmAndPin)
    }
}

impl Work {
    fn find_all(&self, arguments: &Arguments, pieces: &SyncSender<Piece>) {
        let mut seen = HashSet::new();
        for (of, path) in arguments.paths.iter().enumerate() {
            if let Err(failure) = self.find(of, path, arguments.threads.into(), &mut seen, pieces) {
                self.fail(&failure);
            }
        }
    }

    fn find(
        &self,
        of: usize,
        top: &Path,
        threads: u64,
        seen: &mut HashSet<(u64, u64)>,
        pieces: &SyncSender<Piece>,
    ) -> Outcome<()> {
        for file in Files::below(top)? {
            let (path, metadata) = file?;
            if lock(&self.sums)[of].refused {
                break;
            }
            if metadata.nlink() == 1 || seen.insert((metadata.dev(), metadata.ino())) {
                self.cut(of, path, &metadata, threads, pieces);
            }
        }
        Ok(())
    }

    /// Large files are worked on in several places.
    fn cut(&self, of: usize, path: PathBuf, metadata: &Metadata, threads: u64, pieces: &SyncSender<Piece>) {
        let length = metadata.len();
        lock(&self.sums)[of].files += 1;
        self.progress.expect(length);
        let step = match self.doing.fills() {
            true => length.div_ceil(threads).next_multiple_of(PIECE_BYTES_MIN).max(PIECE_BYTES_MIN),
            false => u64::MAX,
        };
        let mut start = 0;
        while start == 0 || start < length {
            let end = start.saturating_add(step).min(length);
            let piece = Piece { path: path.clone(), range: start..end, of };
            if pieces.send(piece).is_err() {
                unreachable!("the threads take pieces until there are no more");
            }
            start = end.max(1);
        }
    }

    fn take_pieces(&self, pieces: &Mutex<Receiver<Piece>>) {
        loop {
            let next = lock(pieces).recv();
            let Ok(piece) = next else { return };
            if lock(&self.sums)[piece.of].refused {
                continue;
            }
            if let Err(error) = self.work_on(&piece) {
                // As if it had not been found: removed meanwhile.
                if error.kind() == io::ErrorKind::NotFound {
                    continue;
                }
                let mut sums = lock(&self.sums);
                let sum = &mut sums[piece.of];
                let folder = OsError::from_io_error(&error) == Some(OsError::NODEV);
                let told = sum.refused || (folder && sum.without_folder);
                sum.refused |= is_refusal(&error);
                sum.without_folder |= folder;
                drop(sums);
                if !told {
                    self.fail(&explain(&piece.path, &error));
                }
            }
        }
    }

    fn work_on(&self, piece: &Piece) -> io::Result<()> {
        let file = tree::open(&piece.path)?;
        let whole = |order| control::cache(&file, order, 0..0).map(|_| ());
        let is_first = piece.range.start == 0;
        match self.doing {
            Doing::Unpin => whole(CacheOrder::Unpin)?,
            Doing::Evict => whole(CacheOrder::Drop)?,
            Doing::Check => return self.walk(&file, piece, CacheOrder::Look),
            Doing::Warm => return self.walk(&file, piece, CacheOrder::Fill),
            Doing::WarmAndPin => {
                if is_first {
                    whole(CacheOrder::Pin)?;
                }
                return self.walk(&file, piece, CacheOrder::Fill);
            }
        }
        self.progress.add(piece.range.end);
        Ok(())
    }

    fn walk(&self, file: &OwnedFd, piece: &Piece, order: CacheOrder) -> io::Result<()> {
        let (mut at, end) = (piece.range.start, piece.range.end);
        let mut pinned = false;
        while at < end || at == piece.range.start {
            let done = control::cache(file, order, at..end)?;
            let next = done.next.unwrap_or(end);
            self.progress.add(next.saturating_sub(at));
            at = next.max(at + 1);
            pinned = done.pinned;
            let mut sums = lock(&self.sums);
            sums[piece.of].cached += done.cached;
            sums[piece.of].bytes += done.bytes;
        }
        if piece.range.start == 0 {
            lock(&self.sums)[piece.of].pinned += u64::from(pinned);
        }
        Ok(())
    }

    fn fail(&self, failure: &Failure) {
        say(format_args!("shoal: {failure}"));
        *lock(&self.exit) = failure.exit;
    }

    fn tell(self, arguments: &Arguments) -> Outcome<Exit> {
        let (sums, exit) = (self.sums.into_inner().expect(UNPOISONED), self.exit.into_inner().expect(UNPOISONED));
        drop(self.progress);
        if self.doing == Doing::Check {
            let found: Vec<_> = sums.iter().zip(&arguments.paths).filter(|(sum, _)| !sum.refused).collect();
            match arguments.json {
                true => print_json(&found.into_iter().map(for_programs).collect::<Vec<_>>())?,
                false => print(columns(&found.into_iter().map(row).collect::<Vec<_>>()))?,
            }
            return Ok(exit);
        }
        let total = |of: fn(&Sum) -> u64| sums.iter().map(of).sum::<u64>();
        let files = count(total(|sum| sum.files), "file", "files");
        let (cached, bytes) = (total(|sum| sum.cached), total(|sum| sum.bytes));
        match self.doing {
            Doing::Unpin => say(format_args!("{files} unpinned")),
            Doing::Evict => say(format_args!("{files} dropped from the cache")),
            _ => say(format_args!("{files}: {} of {} in the cache", ByteCount(cached), ByteCount(bytes))),
        }
        if cached < bytes && exit == Exit::Success {
            return Err(Failure::new(
                Exit::NoSpace,
                "the cache",
                format_args!("it has no room for {} of them", ByteCount(bytes - cached)),
                "mount with more --cache-size or on a disk with more free space, or unpin and evict what else is pinned",
            ));
        }
        Ok(exit)
    }
}

fn row((sum, path): (&Sum, &PathBuf)) -> Vec<String> {
    let share = match sum.bytes {
        0 => 100,
        // Rounded down: only all of it is 100 %.
        bytes => (u128::from(sum.cached) * 100 / u128::from(bytes)) as u64,
    };
    vec![
        format!("{share:3} %"),
        format!("{} of {}", ByteCount(sum.cached), ByteCount(sum.bytes)),
        count(sum.files, "file", "files"),
        format!("{} pinned", sum.pinned),
        path.display().to_string(),
    ]
}

fn for_programs((sum, path): (&Sum, &PathBuf)) -> serde_json::Value {
    let Sum { files, pinned, cached, bytes, .. } = sum;
    serde_json::json!({ "path": path, "files": files, "pinned": pinned, "cached": cached, "bytes": bytes })
}

/// The next file would be refused for the same reason.
fn is_refusal(error: &io::Error) -> bool {
    matches!(OsError::from_io_error(error), Some(OsError::NOTTY | OsError::OPNOTSUPP | OsError::NOTCONN))
}

fn explain(path: &Path, error: &io::Error) -> Failure {
    let (exit, why, cure) = match OsError::from_io_error(error) {
        Some(OsError::NOTTY) => {
            (Exit::NotFound, "it is not on a mount of a Shoal volume", "see what is mounted: findmnt -t fuse.shoal")
        }
        Some(OsError::OPNOTSUPP) => (
            Exit::Other,
            "the mount has no cache",
            "mount without --no-cache, and look for the cache in the mount's log",
        ),
        Some(OsError::NODEV) => (
            Exit::Other,
            "the cache folder that it falls to, as others below may, has failed",
            "look into the mount's log, and mount again when its disk is whole",
        ),
        Some(OsError::PERM) => (
            Exit::Permission,
            "to pin, unpin and evict it is for its owner, for who mounted it, and root",
            "run as one",
        ),
        Some(OsError::NOSPC) => (Exit::NoSpace, "the cache's disk has no room to note the pin", "make room there"),
        _ => return Failure::of_io(path, "warming it up", error),
    };
    Failure::new(exit, path.display(), why, cure)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect(UNPOISONED)
}

const UNPOISONED: &str = "no code panics while it holds this lock";
const PIECES_WAITING_MAX: usize = 1024;
const PIECE_BYTES_MIN: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_cached_to_the_last_byte_is_told_as_all_of_it() {
        let shown =
            |cached, bytes| row((&Sum { files: 1, cached, bytes, ..Sum::default() }, &"/mnt/a".into()))[0].clone();
        assert_eq!([shown(0, 0), shown(0, 7), shown(999, 1000), shown(7, 7)], ["100 %", "  0 %", " 99 %", "100 %"]);
        assert_eq!(shown(u64::MAX / 2, u64::MAX), " 49 %");
    }
}
