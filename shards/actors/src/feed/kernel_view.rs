//! What the kernel has been told and may still believe, and what others have changed lately: two tables of times each,
//! hashed by inode and by (parent, name). Two keys that share a time cost a needless notification or a needless request.
//!
//! A change by others can pass a reply that is on its way. So what they have changed within the last while is told to the
//! kernel without a time-out: whatever was read before the change became known has been answered by then.

use crate::stamps::name_hash;
use shoal_types::{Ino, Name};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

const TIMES: usize = 1 << 16;
/// How long a reply may be on its way from the store to the kernel.
const REPLY_TIME_MAX: Duration = Duration::from_secs(1);

pub(crate) struct KernelView {
    start: Instant,
    believed: Times,
    changed: Times,
}

/// Milliseconds since the start, from 1 on; 0: never.
struct Times {
    attributes: Box<[AtomicU64]>,
    entries: Box<[AtomicU64]>,
}

impl Times {
    fn new() -> Self {
        let table = || (0..TIMES).map(|_| AtomicU64::new(0)).collect();
        Times { attributes: table(), entries: table() }
    }

    fn of_attributes(&self, ino: Ino) -> &AtomicU64 {
        &self.attributes[ino.mix() as usize % TIMES]
    }

    fn of_entry(&self, parent: Ino, name: &Name) -> &AtomicU64 {
        &self.entries[name_hash(parent, name) as usize % TIMES]
    }
}

impl KernelView {
    pub fn new(start: Instant) -> Self {
        KernelView { start, believed: Times::new(), changed: Times::new() }
    }

    /// The kernel is about to be told attributes for so long. Gives how long it may be.
    pub fn tell_attributes(&self, ino: Ino, validity: Duration) -> Duration {
        self.tell(self.believed.of_attributes(ino), self.changed.of_attributes(ino), validity)
    }

    pub fn tell_entry(&self, parent: Ino, name: &Name, validity: Duration) -> Duration {
        self.tell(self.believed.of_entry(parent, name), self.changed.of_entry(parent, name), validity)
    }

    fn tell(&self, believed: &AtomicU64, changed: &AtomicU64, validity: Duration) -> Duration {
        let now = self.now();
        // Noted before it is looked whether it may be told: of a change that comes in between, the kernel hears.
        believed.fetch_max(now + millis(validity) + 1, SeqCst);
        let changed = changed.load(SeqCst);
        let lately = changed != 0 && now < changed + millis(REPLY_TIME_MAX);
        if lately { Duration::ZERO } else { validity }
    }

    /// Others have changed it. Tells whether the kernel may believe something else.
    pub fn change_attributes(&self, ino: Ino) -> bool {
        self.change(self.believed.of_attributes(ino), self.changed.of_attributes(ino))
    }

    pub fn change_entry(&self, parent: Ino, name: &Name) -> bool {
        self.change(self.believed.of_entry(parent, name), self.changed.of_entry(parent, name))
    }

    fn change(&self, believed: &AtomicU64, changed: &AtomicU64) -> bool {
        let now = self.now();
        changed.store(now, SeqCst);
        believed.load(SeqCst) >= now
    }

    fn now(&self) -> u64 {
        1 + millis(self.start.elapsed())
    }
}

fn millis(time: Duration) -> u64 {
    time.as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_hears_of_what_it_was_told_and_is_told_nothing_about_what_has_just_changed() {
        let view = KernelView::new(Instant::now());
        let (validity, name) = (Duration::from_secs(100), Name::new(b"a").unwrap());
        assert!(!view.change_attributes(Ino(2)), "it was never told");
        assert_eq!(view.tell_attributes(Ino(2), validity), Duration::ZERO, "others have just changed it");
        assert_eq!(view.tell_attributes(Ino(3), validity), validity);
        assert!(view.change_attributes(Ino(3)));
        assert_eq!(view.tell_entry(Ino(1), &name, validity), validity);
        assert!(view.change_entry(Ino(1), &name));
        assert!(!view.change_entry(Ino(2), &name));
    }

    #[test]
    fn what_the_kernel_has_forgotten_by_itself_it_need_not_be_told() {
        let view = KernelView::new(Instant::now());
        view.tell_attributes(Ino(2), Duration::from_millis(3));
        std::thread::sleep(Duration::from_millis(10));
        assert!(!view.change_attributes(Ino(2)));
    }
}
