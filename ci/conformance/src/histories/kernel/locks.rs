//! Advisory locks by descriptor.

use super::{Expected, Kernel};
use crate::histories::answer::Answer;
use crate::histories::call::Slot;
use shoal_oracle::{LockAnswer, LockRequest};
use shoal_types::{Errno, FILE_BYTES_MAX, FsResult, Ino, LockMode, LockRange, LockSpace};

/// Owners of record locks: processes come first, then descriptions.
const DESCRIPTIONS_FROM: u64 = 1000;

impl Kernel {
    pub fn flock(&mut self, slot: Slot, mode: Option<LockMode>) -> FsResult<Answer> {
        let ino = self.usable(slot)?.ino;
        let owner = DESCRIPTIONS_FROM + self.slots[&slot];
        let request = LockRequest { ino, space: LockSpace::Flock, owner, range: LockRange::WHOLE };
        self.change(request, mode)
    }

    pub fn lock_owner(&self, process: u8, slot: Slot, by_description: bool) -> u64 {
        if by_description { DESCRIPTIONS_FROM + self.slots[&slot] } else { process.into() }
    }

    pub fn lock(
        &mut self,
        slot: Slot,
        owner: u64,
        mode: Option<LockMode>,
        start: u64,
        length: u64,
    ) -> FsResult<Answer> {
        let description = self.usable(slot)?;
        self.locked.insert(description.ino);
        match mode {
            Some(LockMode::Shared) if !description.read => return Err(Errno::EBADF),
            Some(LockMode::Exclusive) if !description.write => return Err(Errno::EBADF),
            _ => {}
        }
        self.change(record(description.ino, owner, start, length), mode)
    }

    fn change(&mut self, request: LockRequest, mode: Option<LockMode>) -> FsResult<Answer> {
        let Some(mode) = mode else {
            self.locks.unlock(request);
            return Ok(Answer::Done);
        };
        match self.locks.lock(request, mode) {
            LockAnswer::Granted => Ok(Answer::Done),
            LockAnswer::Blocked | LockAnswer::Deadlock => Err(Errno::EAGAIN),
        }
    }

    pub fn test_lock(&self, slot: Slot, owner: u64, mode: LockMode, start: u64, length: u64) -> Expected {
        let ino = match self.usable(slot) {
            Ok(description) => description.ino,
            Err(error) => return Expected::Answer(Err(error)),
        };
        let request = record(ino, owner, start, length);
        let blockers = self.locks.blockers(request, mode);
        if blockers.is_empty() {
            return Expected::Answer(Ok(Answer::Conflict(None)));
        }
        let locks = self.locks.clone();
        Expected::Conflict(Box::new(move |mode, found| {
            let last = if found.end == 0 { FILE_BYTES_MAX } else { found.end - 1 };
            let Some(range) = LockRange::new(found.start, last) else { return false };
            let held = |other: &u64, byte| locks.held(ino, LockSpace::Record, *other, byte) == Some(mode);
            range.overlaps(request.range) && blockers.iter().any(|other| held(other, found.start) && held(other, last))
        }))
    }

    pub fn unlock_process(&mut self, process: u8, ino: Ino) {
        self.locks.unlock(record(ino, process.into(), 0, 0));
    }

    pub fn release_description(&mut self, id: u64) {
        self.locks.release(DESCRIPTIONS_FROM + id);
    }
}

fn record(ino: Ino, owner: u64, start: u64, length: u64) -> LockRequest {
    let end = if length == 0 { FILE_BYTES_MAX } else { start + length - 1 };
    let range = LockRange::new(start, end).expect("histories lock bytes that a file can have");
    LockRequest { ino, space: LockSpace::Record, owner, range }
}
