//! The syncer thread: makes commits survive power loss, many with one fdatasync, while the writer goes on.
//!
//! The writer commits with `synchronous=NORMAL`: the commit is in the WAL file, in the kernel's page cache, and no
//! more. This thread syncs the WAL through a descriptor of its own and only then reports the durable jobs that were
//! committed before. Why that is enough, for a commit C:
//!
//! * If C's frames are still in the WAL file, the fdatasync puts them and all frames before them on the disk, and
//!   recovery replays the WAL from its first frame to the last one whose running checksum is right. It needs nothing
//!   of the shared index, which is rebuilt.
//! * If a checkpoint (ours or another process's) has copied C into the database and the WAL has been begun anew over
//!   it, the database file is on the disk already: in NORMAL mode a checkpoint syncs the WAL before it copies a page,
//!   and syncs the database after it has copied the last one, before it marks the WAL as copied, which is what allows
//!   a writer to begin it anew. The new WAL's header is synced before any frame follows, so that old frames are never
//!   mistaken for new ones.
//! * A checkpoint that copied only a part leaves the WAL whole, and the first case holds.
//!
//! Opening and closing the WAL file drops no lock: SQLite's locks are on the database file and the shared index. The
//! WAL cannot vanish while our connections are open; should it have been replaced all the same, it is opened again.
//!
//! After a failed fdatasync the kernel may have dropped the dirty pages and marked them clean, so that a second one
//! would succeed and lie. Therefore the first failure is final: every durable job from then on is refused.

use shoal_kv::{Job, JobQueue, KvError, Verdict, mark_engine_thread};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::open::{companion, folder_of};

/// What can be made durable. A trait so that a test can let it fail.
pub(crate) trait Log {
    fn sync(&mut self) -> io::Result<()>;
    fn name(&self) -> String;
}

/// Serves the queue until it is closed.
pub(crate) fn run(queue: &JobQueue<Box<dyn Job>>, mut log: impl Log) {
    mark_engine_thread();
    let mut jobs = Vec::new();
    let mut lost: Option<KvError> = None;
    // All jobs in `jobs` were committed before they were queued, so a sync that begins now covers them all.
    while queue.take(&mut jobs, usize::MAX) {
        if lost.is_none()
            && let Err(error) = log.sync()
        {
            lost = Some(KvError::Other(format!(
                "{}: syncing failed: {error}. Commits are visible, but none can be promised to survive a power loss \
                 until the database is opened anew",
                log.name()
            )));
        }
        let outcome = lost.clone().map_or(Ok(Verdict::Commit), Err);
        jobs.drain(..).for_each(|job| job.done(outcome.clone()));
    }
}

pub(crate) struct WalFile {
    path: PathBuf,
    folder: PathBuf,
    /// The open WAL with its device and inode.
    open: Option<(File, (u64, u64))>,
}

impl WalFile {
    pub fn of(database: &Path) -> Self {
        WalFile { path: companion(database, "-wal"), folder: folder_of(database).to_path_buf(), open: None }
    }
}

impl Log for WalFile {
    fn sync(&mut self) -> io::Result<()> {
        let there = fs::metadata(&self.path)?;
        let identity = (there.dev(), there.ino());
        let file = match &self.open {
            Some((file, known)) if *known == identity => file,
            _ => {
                let file = File::open(&self.path)?;
                // A new WAL: its name must survive as well.
                File::open(&self.folder)?.sync_all()?;
                &self.open.insert((file, identity)).0
            }
        };
        file.sync_data()
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_kv::{Attempt, KvResult, Transaction};
    use std::sync::mpsc::{Sender, channel};

    struct Told(Sender<KvResult<Verdict>>);

    impl Job for Told {
        fn run(&mut self, _: &mut dyn Transaction, _: Attempt) -> KvResult<Verdict> {
            unreachable!("it has run before")
        }

        fn done(self: Box<Self>, outcome: KvResult<Verdict>) {
            self.0.send(outcome).unwrap();
        }
    }

    struct FailsOnce {
        syncs: usize,
        fails_at: usize,
    }

    impl Log for &mut FailsOnce {
        fn sync(&mut self) -> io::Result<()> {
            self.syncs += 1;
            if self.syncs == self.fails_at { Err(io::ErrorKind::Other.into()) } else { Ok(()) }
        }

        fn name(&self) -> String {
            "a log".into()
        }
    }

    /// Serves `count` jobs that are all there at the beginning.
    fn serve(count: usize, log: &mut FailsOnce) -> Vec<KvResult<Verdict>> {
        let queue: JobQueue<Box<dyn Job>> = JobQueue::new(count);
        let (sender, receiver) = channel();
        (0..count).for_each(|_| assert!(queue.push(Box::new(Told(sender.clone()))).is_ok()));
        queue.close();
        run(&queue, log);
        drop(sender);
        receiver.iter().collect()
    }

    #[test]
    fn one_sync_covers_all_that_wait() {
        let mut log = FailsOnce { syncs: 0, fails_at: usize::MAX };
        assert_eq!(serve(10, &mut log), vec![Ok(Verdict::Commit); 10]);
        assert_eq!(log.syncs, 1);
    }

    #[test]
    fn a_failed_sync_refuses_every_later_durable_job() {
        let mut log = FailsOnce { syncs: 0, fails_at: 1 };
        let queue: JobQueue<Box<dyn Job>> = JobQueue::new(8);
        let (sender, receiver) = channel();
        std::thread::scope(|scope| {
            scope.spawn(|| run(&queue, &mut log));
            for _ in 0..3 {
                assert!(queue.push(Box::new(Told(sender.clone()))).is_ok());
                assert!(
                    matches!(receiver.recv().unwrap(), Err(KvError::Other(_))),
                    "although a later sync would succeed"
                );
            }
            queue.close();
        });
        assert_eq!(log.syncs, 1, "it is not tried again");
    }

    #[test]
    fn a_replaced_wal_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("volume");
        let mut wal = WalFile::of(&database);
        assert_eq!(wal.sync().unwrap_err().kind(), io::ErrorKind::NotFound);
        let write = |name: &str| fs::write(folder.path().join(name), name).unwrap();
        write("volume-wal");
        wal.sync().unwrap();
        let first = wal.open.as_ref().map(|(_, identity)| *identity);
        wal.sync().unwrap();
        assert_eq!(wal.open.as_ref().map(|(_, identity)| *identity), first);
        write("other");
        fs::rename(folder.path().join("other"), folder.path().join("volume-wal")).unwrap();
        wal.sync().unwrap();
        assert_ne!(wal.open.as_ref().map(|(_, identity)| *identity), first);
    }
}
