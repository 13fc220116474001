//! Claims about several clients of one store: epochs and watches.

use super::{Open, all, change, get, number};
use crate::Kv;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

fn put(kv: &Arc<dyn Kv>, value: u64) {
    change(kv, move |transaction| {
        transaction.put(b"watched", &value.to_le_bytes());
        Ok(())
    });
}

pub fn the_foreign_epoch_grows_with_foreign_commits_only(open: &Open<'_>) {
    let store = open();
    let (one, two) = (store.client(), store.client());
    if one.foreign_epoch().is_none() {
        return;
    }
    for round in 0..5 {
        let (before_one, before_two) = (one.foreign_epoch(), two.foreign_epoch());
        put(&one, round);
        assert_eq!(one.foreign_epoch(), before_one, "an own commit does not count");
        assert!(two.foreign_epoch() > before_two, "an acknowledged commit has been counted");
    }
}

/// One client counts up and publishes what was acknowledged; another caches under the epoch and must never trust a
/// cached value that is older than what it knows to be acknowledged, or than what it can read.
pub fn what_was_read_at_an_epoch_is_current_while_it_stands(open: &Open<'_>) {
    let store = open();
    let (caching, writing) = (store.client(), store.client());
    if caching.foreign_epoch().is_none() {
        return;
    }
    let acknowledged = Arc::new(AtomicU64::new(0));
    let publish = acknowledged.clone();
    let writer = thread::spawn(move || {
        for value in 1..=300 {
            put(&writing, value);
            publish.store(value, Ordering::SeqCst);
        }
    });
    let mut trusted = 0;
    while !writer.is_finished() || trusted == 0 {
        let epoch = caching.foreign_epoch();
        let cached = number(get(&caching, b"watched"));
        let published = acknowledged.load(Ordering::SeqCst);
        if caching.foreign_epoch() == epoch {
            assert!(cached >= published, "trusted {cached} although {published} had been acknowledged");
        }
        let read = number(get(&caching, b"watched"));
        if caching.foreign_epoch() == epoch {
            assert_eq!(cached, read, "trusted {cached} although {read} could be read");
            trusted += 1;
        }
    }
    writer.join().expect("every change commits");
}

pub fn a_watch_wakes_on_a_change_and_only_then(open: &Open<'_>) {
    let store = open();
    let (watching, writing) = (store.client(), store.client());
    for round in 1..=3 {
        let mut watch = watching.watch(b"watched").unwrap_or_else(|error| panic!("{error}"));
        change(&writing, |transaction| {
            transaction.put(b"another key", b"");
            Ok(())
        });
        assert_eq!(watch.wait(Duration::from_millis(20)), Ok(false), "nothing has changed");
        let kv = writing.clone();
        let writer = thread::spawn(move || put(&kv, round));
        assert_eq!(watch.wait(Duration::from_secs(30)), Ok(true));
        writer.join().expect("the change commits");
    }
}

pub fn a_watch_for_stamps_misses_none(open: &Open<'_>) {
    let store = open();
    let (watching, writing) = (store.client(), store.client());
    let mut watch = watching.watch_stamped().unwrap_or_else(|error| panic!("{error}"));
    for round in 1..=20_usize {
        let kv = writing.clone();
        let writer = thread::spawn(move || {
            change(&kv, |transaction| {
                transaction.put_versionstamped(b"stamped", b"");
                Ok(())
            });
        });
        let start = Instant::now();
        // It may wake before there is anything, but not leave anything unsaid.
        while all(&watching, b"stamped").len() < round {
            assert!(start.elapsed() < Duration::from_secs(30), "the watch slept through commit {round}");
            watch.wait(Duration::from_secs(30)).unwrap_or_else(|error| panic!("{error}"));
        }
        writer.join().expect("the change commits");
    }
}
