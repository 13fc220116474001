//! Who has committed: a page of counters that all processes of the host map, beside the database.
//!
//! # Layout of `<database>-epoch`
//!
//! 65 slots of 64 bytes (a cache line each): `started`, `finished`, `used` and `waiting`, four u64 in the host's byte
//! order, the rest unused. `used` counts in the last slot alone: how many slots from the first on have ever had an owner.
//! It is raised before an owner's first commit and never falls; the slots beyond it stand at zero and need no look.
//! `started` and `finished` count commits of the slot's owner and are never reset, so that the sum only grows. A process owns one slot by an
//! open-file-description lock on the byte with the slot's number; the kernel frees it when the process dies. The last
//! slot is shared by all that come when the others are taken: their commits count for everyone else, but they cannot tell
//! foreign commits from their own (`foreign` is `None`). Byte 4096 of the lock space is the turnstile (below).
//!
//! # Protocol
//!
//! A writer adds 1 to `started` before COMMIT and 1 to `finished` after it, before anyone is told, whatever its result. A user
//! loads the epoch n, then reads a value, and trusts it as long as the epoch is n. [`Epoch::foreign`] therefore never gives
//! the same number twice unless no foreign commit can have become visible in between:
//!
//! * It is the sum of all foreign `started` and `finished`, plus `unstable`, a count of our own, which is raised
//!   whenever some slot is found in the middle of a commit (`started` ≠ `finished`). All three only grow, so an equal
//!   number means that no part has changed; and since an unstable look raises `unstable`, its number never returns.
//! * So a number that returns has seen every slot at rest, and again at rest with the same counters. A commit becomes
//!   visible between its own two additions. Had one become visible after the value was read and before the second
//!   look, its `started` would have been raised either before the first look, which then saw it unfinished, or after
//!   it, which changes the sum.
//! * `finished` is loaded before `started`, so that a commit that runs past between the two loads looks unstable and
//!   never at rest.
//!
//! A process that is killed in the middle of a commit leaves its slot unstable; that costs others their caching, never
//! correctness, until someone finds the slot's lock free and raises `finished`.
//!
//! # Turnstile
//!
//! SQLite's write lock is polled, so a process that writes group after group would starve the others. Who finds it taken
//! raises `waiting` in its slot, takes the turnstile lock, waits for SQLite's lock, and lets the turnstile go. As long as
//! anybody waits, all go that way, so that nobody overtakes; otherwise the lock, two system calls, is left alone. One who
//! is killed while it waits leaves its slot's count raised until the slot's next owner comes, and one in the last slot for
//! ever: that costs the others those calls.

use crate::error::from_io;
use crate::open::companion;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use shoal_kv::{KvError, KvResult};
use std::ffi::c_void;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::{Duration, Instant};

const OWNED_SLOTS: usize = 64;
const SLOTS: usize = OWNED_SLOTS + 1;
const SLOT_BYTES: usize = 64;
const FILE_BYTES: usize = SLOTS * SLOT_BYTES;
const TURNSTILE_BYTE: usize = 4096;

pub(crate) struct Epoch {
    file: File,
    path: PathBuf,
    slots: NonNull<Slot>,
    own: usize,
    unstable: AtomicU64,
}

#[repr(C, align(64))]
struct Slot {
    started: AtomicU64,
    finished: AtomicU64,
    used: AtomicU64,
    waiting: AtomicU64,
    unused: [u64; 4],
}

const _: () = assert!(size_of::<Slot>() == SLOT_BYTES);

// SAFETY: the mapping lives as long as the value, belongs to no thread, and is only touched through atomics.
unsafe impl Send for Epoch {}
// SAFETY: as above.
unsafe impl Sync for Epoch {}

impl Epoch {
    pub fn open(database: &Path) -> KvResult<Self> {
        let path = companion(database, "-epoch");
        let failed = |error| from_io(&path, "opening", error);
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        if file.metadata().map_err(failed)?.len() < FILE_BYTES as u64 {
            // New bytes are zero; two that do this at once do the same.
            file.set_len(FILE_BYTES as u64).map_err(failed)?;
        }
        let slots = map(&file).map_err(failed)?;
        let mut epoch = Epoch { file, path, slots, own: OWNED_SLOTS, unstable: AtomicU64::new(0) };
        epoch.own = epoch.take_slot().map_err(|error| from_io(&epoch.path, "taking a slot", error))?;
        if epoch.own < OWNED_SLOTS {
            // Its last owner may have been killed in the middle of a commit, or waiting for one. That is over.
            let slot = epoch.slot(epoch.own);
            slot.finished.fetch_max(slot.started.load(Ordering::SeqCst), Ordering::SeqCst);
            slot.waiting.store(0, Ordering::SeqCst);
            epoch.slot(OWNED_SLOTS).used.fetch_max(epoch.own as u64 + 1, Ordering::SeqCst);
        }
        Ok(epoch)
    }

    /// See `Kv::foreign_epoch`.
    pub fn foreign(&self) -> Option<u64> {
        if self.own == OWNED_SLOTS {
            return None;
        }
        let (sum, stable) = self.look(Some(self.own));
        let unstable = if stable {
            self.unstable.load(Ordering::SeqCst)
        } else {
            self.unstable.fetch_add(1, Ordering::SeqCst) + 1
        };
        Some(sum + unstable)
    }

    /// A number that is the same only if nobody at all has committed in between, or `None` in the middle of a commit.
    pub fn of_all(&self) -> Option<u64> {
        let (sum, stable) = self.look(None);
        stable.then_some(sum)
    }

    /// To be held over COMMIT.
    pub fn commit_begins(&self) -> CommitGuard<'_> {
        let slot = self.slot(self.own);
        slot.started.fetch_add(1, Ordering::SeqCst);
        CommitGuard { slot }
    }

    /// Some process waits for its turn to write.
    pub fn anyone_waits(&self) -> bool {
        self.slots_in_use().any(|index| self.slot(index).waiting.load(Ordering::SeqCst) > 0)
    }

    /// Waits for one's turn among the writers.
    pub fn take_turn(&self, timeout: Duration) -> KvResult<TurnGuard<'_>> {
        let start = Instant::now();
        let waiting = WaitingGuard::enter(&self.slot(self.own).waiting);
        loop {
            let taken = lock(&self.file, libc::F_WRLCK, TURNSTILE_BYTE);
            if taken.map_err(|error| from_io(&self.path, "taking a turn", error))? {
                return Ok(TurnGuard { epoch: self, _waiting: waiting });
            }
            if start.elapsed() > timeout {
                let text = format!("{}: other processes kept writing for {timeout:?}", self.path.display());
                return Err(KvError::Unavailable(text));
            }
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    /// The sum of all counters but those of `skipped`, and whether all were at rest.
    fn look(&self, skipped: Option<usize>) -> (u64, bool) {
        let (mut sum, mut stable) = (0u64, true);
        for index in self.slots_in_use().filter(|index| Some(*index) != skipped) {
            let slot = self.slot(index);
            let finished = slot.finished.load(Ordering::SeqCst);
            let started = slot.started.load(Ordering::SeqCst);
            if started != finished {
                stable = false;
                self.repair(index, started, finished);
            }
            sum += started + finished;
        }
        // What the caller reads next is read after the counters.
        fence(Ordering::SeqCst);
        (sum, stable)
    }

    /// Brings a dead owner's slot to rest. Its commit was visible before it died or never will be as long as anyone
    /// is here: the next writer overwrites what it left. An owner that comes in the meantime changes `finished`, and
    /// then the exchange fails.
    fn repair(&self, index: usize, started: u64, finished: u64) {
        if index != self.own && is_free(&self.file, index) {
            let slot = self.slot(index);
            let _ = slot.finished.compare_exchange(finished, started, Ordering::SeqCst, Ordering::SeqCst);
        }
    }

    fn take_slot(&self) -> io::Result<usize> {
        for index in 0..OWNED_SLOTS {
            if lock(&self.file, libc::F_WRLCK, index)? {
                return Ok(index);
            }
        }
        // Shared, so that others see that somebody is there. Nobody ever locks it for himself.
        lock(&self.file, libc::F_RDLCK, OWNED_SLOTS)?;
        Ok(OWNED_SLOTS)
    }

    /// Slots that have ever had an owner.
    fn slots_in_use(&self) -> impl Iterator<Item = usize> {
        let used = self.slot(OWNED_SLOTS).used.load(Ordering::SeqCst).min(OWNED_SLOTS as u64) as usize;
        (0..used).chain([OWNED_SLOTS])
    }

    fn slot(&self, index: usize) -> &Slot {
        assert!(index < SLOTS, "slot {index} of {SLOTS}");
        // SAFETY: the mapping has SLOTS slots, is aligned to a page, lives as long as `self`, and every bit pattern is
        // a valid slot. The file is never cut short by us; whoever else does ends this process by SIGBUS.
        unsafe { self.slots.add(index).as_ref() }
    }
}

impl Drop for Epoch {
    fn drop(&mut self) {
        // SAFETY: mapped with this length in `open`, and no reference outlives `self`. Closing the file frees the slot.
        let unmapped = unsafe { munmap(self.slots.as_ptr().cast::<c_void>(), FILE_BYTES) };
        debug_assert!(unmapped.is_ok(), "a whole mapping can be unmapped");
    }
}

pub(crate) struct CommitGuard<'a> {
    slot: &'a Slot,
}

impl Drop for CommitGuard<'_> {
    fn drop(&mut self) {
        self.slot.finished.fetch_add(1, Ordering::SeqCst);
    }
}

pub(crate) struct TurnGuard<'a> {
    epoch: &'a Epoch,
    /// Until SQLite's lock is there, so that nobody overtakes.
    _waiting: WaitingGuard<'a>,
}

struct WaitingGuard<'a>(&'a AtomicU64);

impl<'a> WaitingGuard<'a> {
    fn enter(waiting: &'a AtomicU64) -> Self {
        waiting.fetch_add(1, Ordering::SeqCst);
        WaitingGuard(waiting)
    }
}

impl Drop for WaitingGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for TurnGuard<'_> {
    fn drop(&mut self) {
        let freed = lock(&self.epoch.file, libc::F_UNLCK, TURNSTILE_BYTE);
        assert!(freed.is_ok(), "a lock that is held can be freed");
    }
}

fn map(file: &File) -> io::Result<NonNull<Slot>> {
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping at an address of the kernel's choice, of a file that is at least this long.
    let start = unsafe { mmap(std::ptr::null_mut(), FILE_BYTES, access, MapFlags::SHARED, file, 0)? };
    Ok(NonNull::new(start.cast::<Slot>()).expect("a mapping never starts at zero"))
}

/// Locks or frees one byte without waiting; `false` if another holds it. Belongs to the open file, not to the process:
/// two handles in one process exclude each other, and closing another descriptor of the file frees nothing.
fn lock(file: &File, kind: libc::c_int, byte: usize) -> io::Result<bool> {
    let mut request = request(kind, byte);
    // SAFETY: the descriptor is open and the request is a valid `flock` that outlives the call.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &mut request) } == 0 {
        return Ok(true);
    }
    match io::Error::last_os_error() {
        error if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
        error => Err(error),
    }
}

fn is_free(file: &File, byte: usize) -> bool {
    let mut request = request(libc::F_WRLCK, byte);
    // SAFETY: as in `lock`.
    let asked = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &mut request) };
    asked == 0 && libc::c_int::from(request.l_type) == libc::F_UNLCK
}

fn request(kind: libc::c_int, byte: usize) -> libc::flock {
    // SAFETY: `flock` is plain data, for which zeros are valid; the pid must be 0 for open-file-description locks.
    let mut request: libc::flock = unsafe { std::mem::zeroed() };
    request.l_type = kind as libc::c_short;
    request.l_whence = libc::SEEK_SET as libc::c_short;
    request.l_start = byte as libc::off_t;
    request.l_len = 1;
    request
}

#[cfg(test)]
#[path = "epoch_tests.rs"]
mod tests;
