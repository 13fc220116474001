//! Access times: noted in memory, stored together a little later.
//!
//! Which accesses count is the mount's choice ([`AccessTimes`]). Those that do are noted by the shard that served them and
//! shown at once by all shards; a second later they go to the store, many in one transaction. The death of the daemon
//! loses them, which is all that can go wrong: nobody waits for them, and no read becomes a write.

use crate::config::AccessTimes;
use crate::limits::{ACCESS_DELAY, ACCESSES_NOTED_MAX, ACCESSES_PER_COMMIT, CACHED_ACCESSES_MAX};
use crate::seq_table::SeqTable;
use crate::shard::Shard;
use crate::shared::now;
use shoal_kv::Durability;
use shoal_metadata::{MetaOp, NoteAccesses};
use shoal_types::{Attributes, Ino, InodeFlags, Timestamp};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

/// What all shards see of each other's notes.
pub(crate) struct NotedAccesses {
    /// Inode → nanoseconds, or `NOT_NOTED`.
    table: SeqTable<1, 1>,
    /// Notes not stored yet; while there are none, nobody looks into the table.
    count: AtomicUsize,
}

/// One shard's own.
#[derive(Default)]
pub(crate) struct OwnAccesses {
    noted: RefCell<HashMap<Ino, Timestamp>>,
    timer: Cell<bool>,
}

const NOT_NOTED: u64 = 0;

impl NotedAccesses {
    pub fn new() -> Self {
        NotedAccesses { table: SeqTable::new(CACHED_ACCESSES_MAX), count: AtomicUsize::new(0) }
    }

    /// Shows what is noted and not stored yet.
    pub fn overlay(&self, attributes: &mut Attributes) {
        if self.count.load(SeqCst) > 0
            && let Some(time) = self.get(attributes.ino)
        {
            attributes.atime = time;
        }
    }

    /// The access time is set by somebody, or stored: what was noted before counts no more.
    pub fn forget(&self, ino: Ino) {
        if self.count.load(SeqCst) > 0 && self.get(ino).is_some() {
            self.put(ino, NOT_NOTED);
        }
    }

    /// Nobody has set the time since, nor has another shard noted a later one. What has had to give way in the table is
    /// believed to count.
    fn still_counts(&self, ino: Ino, time: Timestamp) -> bool {
        self.table.get(ino.mix(), &[ino.0]).is_none_or(|[nanos]| nanos == time.as_nanos())
    }

    fn get(&self, ino: Ino) -> Option<Timestamp> {
        let [nanos] = self.table.get(ino.mix(), &[ino.0])?;
        (nanos != NOT_NOTED).then(|| Timestamp::from_nanos(nanos))
    }

    fn put(&self, ino: Ino, nanos: u64) {
        self.table.put(ino.mix(), &[ino.0], &[nanos]);
    }
}

impl AccessTimes {
    /// Whether an access now has to be noted, by what the inode shows.
    fn is_due(self, attributes: &Attributes, now: Timestamp) -> bool {
        const DAY_SECONDS: i64 = 24 * 60 * 60;
        let Attributes { atime, mtime, ctime, .. } = attributes;
        match self {
            AccessTimes::Never => false,
            AccessTimes::Always => true,
            AccessTimes::Relative => {
                atime <= mtime || atime <= ctime || now.seconds.saturating_sub(atime.seconds) >= DAY_SECONDS
            }
        }
    }
}

impl Shard {
    /// Somebody begins to read this inode, which looks like this.
    pub fn note_access(self: &Rc<Self>, attributes: &Attributes) {
        let excepted = attributes.flags.has(InodeFlags::NO_ACCESS_TIME);
        if !excepted && self.shared.access_times.is_due(attributes, now()) {
            self.note(attributes.ino);
        }
    }

    /// Somebody goes on reading it.
    pub fn note_read(self: &Rc<Self>, ino: Ino) {
        if self.shared.access_times == AccessTimes::Always {
            // Where its flags aren't known the store leaves it out.
            let known = self.shared.names.attributes(ino, self.see_attributes(ino));
            if known.is_none_or(|known| !known.flags.has(InodeFlags::NO_ACCESS_TIME)) {
                self.note(ino);
            }
        }
    }

    fn note(self: &Rc<Self>, ino: Ino) {
        let now = now();
        let shared = &self.shared.accesses;
        let crowded = {
            let mut noted = self.accesses.noted.borrow_mut();
            if noted.insert(ino, now).is_none() {
                shared.count.fetch_add(1, SeqCst);
            }
            noted.len() >= ACCESSES_NOTED_MAX
        };
        shared.put(ino, now.as_nanos());
        if crowded {
            self.store_accesses_after(Duration::ZERO);
        } else if !self.accesses.timer.replace(true) {
            self.store_accesses_after(ACCESS_DELAY);
        }
    }

    fn store_accesses_after(self: &Rc<Self>, delay: Duration) {
        let shard = self.clone();
        self.spawn_unless_stopped(async move {
            shoal_runtime::sleep(delay).await;
            shard.accesses.timer.set(false);
            shard.store_accesses().await;
        });
    }

    pub(crate) async fn store_accesses(self: &Rc<Self>) {
        let noted: Vec<(Ino, Timestamp)> = self.accesses.noted.take().into_iter().collect();
        for accesses in noted.chunks(ACCESSES_PER_COMMIT) {
            self.store_some(accesses).await;
        }
    }

    async fn store_some(self: &Rc<Self>, noted: &[(Ino, Timestamp)]) {
        let shared = &self.shared.accesses;
        let accesses: Vec<_> = noted.iter().filter(|(ino, time)| shared.still_counts(*ino, *time)).copied().collect();
        let operation = NoteAccesses { accesses, session: self.shared.session };
        if let Err(error) = self.mutate(MetaOp::NoteAccesses(operation), Durability::Visible).await {
            tracing::warn!(%error, "access times could not be stored and are lost");
        }
        for (ino, time) in noted {
            if shared.get(*ino) == Some(*time) {
                shared.put(*ino, NOT_NOTED);
            }
        }
        shared.count.fetch_sub(noted.len(), SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(atime: i64, mtime: i64, ctime: i64) -> Attributes {
        let at = |seconds| Timestamp::new(seconds, 0);
        Attributes {
            ino: Ino(7),
            kind: shoal_types::FileKind::Regular,
            flags: Default::default(),
            mode: 0o644,
            uid: 0,
            gid: 0,
            rdev: 0,
            nlink: 1,
            length: 0,
            allocated: 0,
            atime: at(atime),
            mtime: at(mtime),
            ctime: at(ctime),
            btime: at(0),
        }
    }

    #[test]
    fn relatime_notes_the_first_access_after_a_change_and_one_a_day() {
        let due = |atime, mtime, ctime, now| {
            AccessTimes::Relative.is_due(&attributes(atime, mtime, ctime), Timestamp::new(now, 0))
        };
        assert!(due(10, 10, 10, 20), "new");
        assert!(due(11, 12, 10, 20) && due(11, 10, 12, 20), "changed since");
        assert!(!due(11, 10, 10, 20));
        assert!(!due(11, 10, 10, 11 + 86_399) && due(11, 10, 10, 11 + 86_400), "a day old");
        assert!(AccessTimes::Always.is_due(&attributes(11, 10, 10), Timestamp::new(12, 0)));
        assert!(!AccessTimes::Never.is_due(&attributes(0, 10, 10), Timestamp::new(12, 0)));
    }

    #[test]
    fn a_note_is_shown_until_it_is_forgotten() {
        let noted = NotedAccesses::new();
        let shown = || {
            let mut attributes = attributes(1, 1, 1);
            noted.overlay(&mut attributes);
            attributes.atime.seconds
        };
        noted.put(Ino(7), Timestamp::new(5, 0).as_nanos());
        assert_eq!(shown(), 1, "nothing is looked for while nothing is counted");
        noted.count.store(1, SeqCst);
        assert_eq!(shown(), 5);
        assert!(noted.still_counts(Ino(7), Timestamp::new(5, 0)) && noted.still_counts(Ino(8), Timestamp::new(5, 0)));
        noted.forget(Ino(7));
        assert_eq!(shown(), 1);
        assert!(!noted.still_counts(Ino(7), Timestamp::new(5, 0)));
    }
}
