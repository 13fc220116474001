//! What is locked of a file.

use crate::keys::Key;
use crate::ops::set_lock::{Holder, holders};
use crate::records::SessionRecord;
use crate::{HeldLock, MetaResult, Metadata};
use shoal_types::{Ino, LockSpace, SessionId};

impl Metadata {
    /// Every range that somebody has locked, in the order of their beginnings.
    pub fn locks(&self, ino: Ino, space: LockSpace) -> MetaResult<Vec<HeldLock>> {
        self.at_snapshot(|reader| {
            let mut locks: Vec<HeldLock> = holders(reader, ino, space)?.iter().flat_map(ranges_of).collect();
            locks.sort_by_key(|lock| lock.range.start);
            Ok(locks)
        })
    }

    /// Who a session is; `None` once it has ended.
    pub fn session(&self, session: SessionId) -> MetaResult<Option<SessionRecord>> {
        self.at_snapshot(|reader| {
            let record = reader.get(&Key::Session(session).encode())?;
            Ok(record.map(|record| SessionRecord::decode(&record)).transpose()?)
        })
    }
}

fn ranges_of(holder: &Holder) -> impl Iterator<Item = HeldLock> + '_ {
    let Holder { session, owner, ref record } = *holder;
    let lock = move |(range, mode)| HeldLock { range, mode, session, owner, pid: record.pid };
    record.ranges.iter().map(lock)
}
