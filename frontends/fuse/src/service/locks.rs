//! Locks: GETLK, SETLK, SETLKW, and what closing a file gives up.
//!
//! The kernel keeps none of them: it asks us about each, and tells us of every close of a file that may have some. A close
//! of a descriptor names the process (FLUSH), the end of an open file description its handle (RELEASE).

use super::VolumeService;
use crate::transport::{Reply, ReplyBody};
use futures_channel::oneshot;
use shoal_client::{LockHolder, LockInfo, LockRequest};
use shoal_fuse_protocol::{FileLock, Header, lk_out};
use shoal_types::{Errno, FsResult, Ino, LockMode, LockRange, LockSpace};

/// Through which open file description, and for whom, a lock is asked for.
#[derive(Clone, Copy)]
pub(super) struct Asker {
    pub handle: u64,
    pub owner: u64,
}

impl VolumeService {
    pub(super) async fn getlk(&self, ino: Ino, asker: Asker, lock: FileLock, flock: bool) -> FsResult<[u8; 24]> {
        let found = self.volume.get_lock(request(ino, asker, lock, flock)?).await?;
        Ok(lk_out(&found.map_or(FileLock { kind: F_UNLCK, pid: 0, ..lock }, file_lock)))
    }

    pub(super) async fn setlk(&self, ino: Ino, asker: Asker, lock: FileLock, flock: bool) -> FsResult<()> {
        self.volume.set_lock(request(ino, asker, lock, flock)?).await
    }

    pub(super) async fn setlkw(
        &self,
        header: &Header,
        ino: Ino,
        asker: Asker,
        lock: FileLock,
        flock: bool,
    ) -> FsResult<()> {
        let request = request(ino, asker, lock, flock)?;
        if request.mode.is_none() {
            return self.volume.set_lock(request).await;
        }
        let interruption = self.interrupts.listen(header.unique);
        match self.volume.wait_for_lock(request, true, interruption.wait()).await {
            Err(Errno::EDEADLK) if waits_for_description(header.pid) => {
                self.volume.wait_for_lock(request, false, interruption.wait()).await
            }
            result => result,
        }
    }

    /// close(2) waits for this, and reports how it ended. It can't be interrupted: half-way through, neither "done" nor
    /// "not done" would be true. The object store's deadlines bound it. Record locks go even where writing fails.
    pub(super) async fn flush<R: Reply>(&self, ino: Ino, process: u64, reply: R) {
        let answer = move |result: FsResult<()>| reply.send(result.map(|()| ReplyBody::Empty));
        if !self.volume.may_have_locks(ino) {
            return self.volume.flush(ino, answer).await;
        }
        let (sender, receiver) = oneshot::channel();
        let flushed = move |result| {
            // The receiver is there unless this shard has stopped, and then nobody waits for an answer.
            let _ = sender.send(result);
        };
        self.volume.flush(ino, flushed).await;
        let flushed = receiver.await.unwrap_or(Err(Errno::EIO));
        self.volume.release_locks(ino, LockHolder::Process(process)).await;
        answer(flushed);
    }

    pub(super) async fn release<R: Reply>(&self, ino: Ino, handle: u64, reply: R) {
        if self.volume.may_have_locks(ino) {
            self.volume.release_locks(ino, LockHolder::Handle(handle)).await;
        }
        if let Some(passthrough) = &self.passthrough {
            passthrough.close(&self.volume, ino).await;
        }
        self.volume.give_up_clone(ino);
        self.volume.close(ino).await;
        reply.send(Ok(ReplyBody::Empty));
    }
}

fn request(ino: Ino, asker: Asker, lock: FileLock, flock: bool) -> FsResult<LockRequest> {
    let mode = match lock.kind {
        F_RDLCK => Some(LockMode::Shared),
        F_WRLCK => Some(LockMode::Exclusive),
        F_UNLCK => None,
        _ => return Err(Errno::EINVAL),
    };
    Ok(LockRequest {
        ino,
        space: if flock { LockSpace::Flock } else { LockSpace::Record },
        owner: asker.owner,
        handle: asker.handle,
        pid: lock.pid,
        range: LockRange::new(lock.start, lock.end).ok_or(Errno::EINVAL)?,
        mode,
    })
}

fn file_lock(found: LockInfo) -> FileLock {
    let kind = match found.mode {
        LockMode::Shared => F_RDLCK,
        LockMode::Exclusive => F_WRLCK,
    };
    FileLock { start: found.range.start, end: found.range.end, kind, pid: found.pid }
}

/// Whether a thread waits for a lock that belongs to an open file description and not to its process. Linux looks for no
/// deadlocks then, because any thread that has the description may still give up what it holds; but it does not tell us
/// which kind a request is of. The thread sleeps in that very call, so /proc knows. Where we may not look, the lock counts
/// as the process's.
fn waits_for_description(thread: u32) -> bool {
    let call = std::fs::read_to_string(format!("/proc/{thread}/syscall")).unwrap_or_default();
    is_description_wait(&call)
}

/// The number of the call, in decimal, then its arguments in hexadecimal: descriptor, command.
fn is_description_wait(call: &str) -> bool {
    let mut words = call.split_ascii_whitespace();
    let (number, command) = (words.next(), words.nth(1));
    let command = command.and_then(|word| u32::from_str_radix(word.trim_start_matches("0x"), 16).ok());
    let is_fcntl = number.is_some_and(|number| number.parse() == Ok(libc::SYS_fcntl));
    is_fcntl && command == Some(libc::F_OFD_SETLKW as u32)
}

const F_RDLCK: u32 = libc::F_RDLCK as u32;
const F_WRLCK: u32 = libc::F_WRLCK as u32;
const F_UNLCK: u32 = libc::F_UNLCK as u32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_refused() {
        let lock = FileLock { start: 3, end: 9, kind: F_RDLCK, pid: 7 };
        let ask = |lock| request(Ino(2), Asker { handle: 1, owner: 5 }, lock, false);
        let asked = ask(lock).unwrap();
        assert_eq!((asked.mode, asked.range, asked.pid), (Some(LockMode::Shared), LockRange { start: 3, end: 9 }, 7));
        for wrong in [
            FileLock { kind: 3, ..lock },
            FileLock { start: 10, ..lock },
            FileLock { end: u64::MAX, ..lock },
            FileLock { end: 1 << 63, ..lock },
        ] {
            assert_eq!(ask(wrong).unwrap_err(), Errno::EINVAL, "{wrong:?}");
        }
    }

    #[test]
    fn a_wait_for_a_descriptions_lock_is_known_by_its_call() {
        let call = |command| format!("{} 0x4 {command:#x} 0x7ffc 0x0 0x0 0x0 0x7ffd 0x7f01\n", libc::SYS_fcntl);
        assert!(is_description_wait(&call(libc::F_OFD_SETLKW)));
        assert!(!is_description_wait(&call(libc::F_SETLKW)));
        for other in ["running", "", "0 0x4 0x26 0x0", "-1 0x7ffd 0x7f01"] {
            assert!(!is_description_wait(other), "{other}");
        }
    }
}
