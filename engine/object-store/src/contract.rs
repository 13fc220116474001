//! What every store must keep, as tests that any crate can run against its store.
//!
//! `shoal_object_store::contract_tests!(subject())` makes one test of each claim, each over a fresh [`Subject`];
//! [`run_all`] runs them in a row (against a real service, say).

use crate::{ListedObject, ObjectStore, StoreError, StoreResult};
use bytes::Bytes;
use futures_util::future::join_all;
use std::any::Any;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// A fresh, empty store, and what it needs to live.
pub struct Subject {
    store: Arc<dyn ObjectStore>,
    decides_races: bool,
    _kept: Option<Box<dyn Any>>,
}

impl Subject {
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Subject { store, decides_races: true, _kept: None }
    }

    /// For stores where the loser of two puts at once may not learn that it lost: services without a conditional
    /// write, and retries, which can't tell another's object from their own.
    pub fn without_deciding_races(mut self) -> Self {
        self.decides_races = false;
        self
    }

    /// Dropped with the subject: a temporary folder, say.
    pub fn keeping(mut self, kept: impl Any) -> Self {
        self._kept = Some(Box::new(kept));
        self
    }
}

pub type Claim = fn(&Subject);

/// Every claim by name.
pub const CLAIMS: &[(&str, Claim)] = crate::contract_tests!(@list table);

pub fn run_all(open: &dyn Fn() -> Subject) {
    for (name, claim) in CLAIMS {
        eprintln!("contract: {name}");
        claim(&open());
    }
}

#[macro_export]
macro_rules! contract_tests {
    (@list $then:ident $($open:expr)?) => {
        $crate::contract_tests! { @$then [
            what_was_put_is_read_back_whole_and_by_ranges
            a_taken_key_is_refused_and_keeps_its_content
            what_is_missing_is_not_found
            a_range_beyond_the_end_is_an_error
            what_was_deleted_is_not_found
            a_list_names_exactly_what_is_there
            an_error_of_found_ends_the_list
            large_and_empty_objects_come_back
            odd_but_legal_keys_work
            of_puts_of_one_key_at_once_one_wins_whole
            a_put_that_is_dropped_leaves_the_whole_object_or_none
            stored_objects_can_be_synced
        ] $($open)? }
    };
    (@table [$($claim:ident)*]) => { &[$((stringify!($claim), $claim)),*] };
    (@functions [$($claim:ident)*] $open:expr) => {
        $(#[test]
        fn $claim() {
            $crate::contract::$claim(&$open);
        })*
    };
    ($open:expr) => { $crate::contract_tests! { @list functions $open } };
}

/// Runs a future on a small runtime of its own.
pub fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime starts").block_on(work)
}

pub fn what_was_put_is_read_back_whole_and_by_ranges(subject: &Subject) {
    run(async {
        let content = pattern(10_000, 1);
        put(subject, "v/objects/9e/1", split(&content)).await.expect("a put succeeds");
        for (start, end) in [(0, 10_000), (0, 1), (9_999, 10_000), (4_095, 4_097), (5_000, 5_000), (1, 9_999)] {
            let got = subject.store.get("v/objects/9e/1", start as u64..end as u64).await.expect("a get succeeds");
            assert_eq!(got, content[start..end], "bytes {start}..{end}");
        }
        assert_eq!(subject.store.get_whole("v/objects/9e/1").await.expect("a get succeeds"), content);
    });
}

pub fn a_taken_key_is_refused_and_keeps_its_content(subject: &Subject) {
    run(async {
        put(subject, "v/1", vec![Bytes::from_static(b"first")]).await.expect("a put succeeds");
        for other in ["second, and longer", ""] {
            let refused = put(subject, "v/1", vec![Bytes::from_static(other.as_bytes())]).await;
            assert!(matches!(refused, Err(StoreError::Exists(_))), "{refused:?}");
        }
        assert_eq!(whole(subject, "v/1", 5).await, "first");
        assert_eq!(keys(subject, "").await, BTreeMap::from([("v/1".to_string(), 5)]));
    });
}

pub fn what_is_missing_is_not_found(subject: &Subject) {
    run(async {
        for key in ["v/1", "v/objects/9e/1", "other"] {
            for range in [0..1, 0..0, 7..9] {
                let missing = subject.store.get(key, range.clone()).await;
                assert!(matches!(missing, Err(StoreError::NotFound(_))), "{key} {range:?}: {missing:?}");
            }
            let missing = subject.store.get_whole(key).await;
            assert!(matches!(missing, Err(StoreError::NotFound(_))), "{key}: {missing:?}");
        }
    });
}

pub fn a_range_beyond_the_end_is_an_error(subject: &Subject) {
    run(async {
        put(subject, "v/1", vec![Bytes::from_static(b"12345")]).await.expect("a put succeeds");
        for range in [0..6, 4..6, 5..6, 100..200] {
            let short = subject.store.get("v/1", range.clone()).await;
            assert!(matches!(short, Err(StoreError::Other(_))), "{range:?}: {short:?}");
        }
    });
}

pub fn what_was_deleted_is_not_found(subject: &Subject) {
    run(async {
        put(subject, "v/1", vec![Bytes::from_static(b"x")]).await.expect("a put succeeds");
        put(subject, "v/2", vec![Bytes::from_static(b"y")]).await.expect("a put succeeds");
        subject.store.delete("v/1").await.expect("a delete succeeds");
        assert!(subject.store.get("v/1", 0..1).await.is_err_and(|error| error.is_not_found()));
        assert_eq!(whole(subject, "v/2", 1).await, "y");
        match subject.store.delete("v/1").await {
            Ok(()) | Err(StoreError::NotFound(_)) => {}
            Err(error) => panic!("deleting what is missing: {error}"),
        }
        put(subject, "v/1", vec![Bytes::from_static(b"anew")]).await.expect("a deleted key is free");
    });
}

pub fn a_list_names_exactly_what_is_there(subject: &Subject) {
    run(async {
        let mut expected = BTreeMap::new();
        for number in 0..400u64 {
            let key = format!("v/objects/{:02x}/{number}", number % 7);
            put(subject, &key, vec![pattern(number as usize % 50, number)]).await.expect("a put succeeds");
            expected.insert(key, number % 50);
        }
        put(subject, "w/objects/00/1", vec![Bytes::from_static(b"of another volume")]).await.expect("a put succeeds");
        assert_eq!(keys(subject, "v/objects/").await, expected);
        expected.retain(|key, _| key.starts_with("v/objects/03/1"));
        assert_eq!(keys(subject, "v/objects/03/1").await, expected);
        assert_eq!(keys(subject, "w").await.len(), 1);
        assert_eq!(keys(subject, "").await.len(), 401);
        assert_eq!(keys(subject, "nowhere/at/all").await, BTreeMap::new());
    });
}

pub fn an_error_of_found_ends_the_list(subject: &Subject) {
    run(async {
        for number in 0..20 {
            put(subject, &format!("v/{number}"), vec![Bytes::from_static(b"x")]).await.expect("a put succeeds");
        }
        let mut calls = 0;
        let mut found = |_: ListedObject| {
            calls += 1;
            if calls == 3 { Err(StoreError::Other("enough".into())) } else { Ok(()) }
        };
        assert_eq!(subject.store.list("v/", &mut found).await, Err(StoreError::Other("enough".into())));
        assert_eq!(calls, 3);
    });
}

pub fn large_and_empty_objects_come_back(subject: &Subject) {
    run(async {
        let large = pattern(8 << 20, 5);
        let mut segments = split(&large);
        segments.insert(1, Bytes::new());
        segments.push(Bytes::new());
        put(subject, "v/large", segments).await.expect("a put succeeds");
        put(subject, "v/none", Vec::new()).await.expect("a put succeeds");
        put(subject, "v/empty", vec![Bytes::new()]).await.expect("a put succeeds");
        assert!(whole(subject, "v/large", large.len()).await == large, "8 MiB come back as they were");
        assert_eq!(whole(subject, "v/none", 0).await, "");
        assert!(subject.store.get("v/empty", 0..1).await.is_err());
        let lengths = [("v/empty", 0), ("v/large", 8 << 20), ("v/none", 0)];
        assert_eq!(keys(subject, "v/").await, lengths.map(|(key, bytes)| (key.to_string(), bytes)).into());
    });
}

pub fn odd_but_legal_keys_work(subject: &Subject) {
    run(async {
        let long = format!("v/{}", "x".repeat(200));
        let odd = ["single", "v/with space", "v/..dots..", "v/.hidden", "v/%41+~=&?#", "v/\u{e9}\u{4e2d}", &long];
        for (number, key) in odd.iter().enumerate() {
            put(subject, key, vec![pattern(10 + number, 1)]).await.expect("a put succeeds");
        }
        for (number, key) in odd.iter().enumerate() {
            assert_eq!(whole(subject, key, 10 + number).await, pattern(10 + number, 1), "{key}");
        }
        assert_eq!(keys(subject, "").await.into_keys().collect::<Vec<_>>(), sorted(&odd));
    });
}

pub fn of_puts_of_one_key_at_once_one_wins_whole(subject: &Subject) {
    run(async {
        for round in 0..10 {
            let key = format!("v/{round}");
            let contents: Vec<Bytes> = (0..8).map(|writer| pattern(100_000, writer)).collect();
            let puts = contents.iter().map(|content| {
                let (store, key, segments) = (subject.store.clone(), key.clone(), split(content));
                tokio::spawn(async move { store.put(&key, segments).await })
            });
            let outcomes: Vec<_> = join_all(puts).await.into_iter().map(|joined| joined.expect("no panic")).collect();
            let stored = whole(subject, &key, 100_000).await;
            let winner = contents.iter().position(|content| *content == stored);
            let winner = winner.expect("what is stored is whole and one of those that were put");
            assert_eq!(outcomes[winner], Ok(()), "who won was told so");
            if subject.decides_races {
                let lost = outcomes.iter().filter(|outcome| matches!(outcome, Err(StoreError::Exists(_)))).count();
                assert_eq!(lost, 7, "{outcomes:?}");
            }
        }
    });
}

pub fn a_put_that_is_dropped_leaves_the_whole_object_or_none(subject: &Subject) {
    run(async {
        let content = pattern(1 << 20, 3);
        for round in 0..40u64 {
            let key = format!("v/{round}");
            let put = put(subject, &key, split(&content));
            // Dropped at various moments: nearly at once up to about when it would be done.
            let ended = tokio::time::timeout(Duration::from_micros(round * 50), put).await;
            match subject.store.get(&key, 0..content.len() as u64).await {
                Ok(stored) => assert!(stored == content, "round {round}: it is whole"),
                Err(StoreError::NotFound(_)) => assert!(ended.is_err(), "round {round}: what was confirmed is there"),
                Err(error) => panic!("round {round}: {error}"),
            }
        }
        let lengths = keys(subject, "v/").await;
        assert!(lengths.values().all(|bytes| *bytes == content.len() as u64), "{lengths:?}");
    });
}

pub fn stored_objects_can_be_synced(subject: &Subject) {
    run(async {
        let names: Vec<String> = (0..40).map(|number| format!("v/objects/{:02x}/{number}", number % 5)).collect();
        for key in &names {
            put(subject, key, vec![pattern(1000, 1)]).await.expect("a put succeeds");
        }
        subject.store.sync(&[]).await.expect("syncing nothing succeeds");
        subject.store.sync(&names[..10]).await.expect("a sync succeeds");
        subject.store.sync(&names).await.expect("a second sync succeeds");
        subject.store.sync_all().await.expect("syncing everything succeeds");
        assert_eq!(whole(subject, &names[39], 1000).await, pattern(1000, 1));
    });
}

async fn put(subject: &Subject, key: &str, segments: Vec<Bytes>) -> StoreResult<()> {
    subject.store.put(key, segments).await
}

async fn whole(subject: &Subject, key: &str, length: usize) -> Bytes {
    subject.store.get(key, 0..length as u64).await.expect("a get of the whole object succeeds")
}

async fn keys(subject: &Subject, prefix: &str) -> BTreeMap<String, u64> {
    let mut keys = BTreeMap::new();
    let mut found = |object: ListedObject| {
        assert_eq!(keys.insert(object.key, object.bytes), None, "each object is listed once");
        Ok(())
    };
    subject.store.list(prefix, &mut found).await.expect("a list succeeds");
    keys
}

fn sorted(keys: &[&str]) -> Vec<String> {
    let mut keys: Vec<String> = keys.iter().map(|key| key.to_string()).collect();
    keys.sort();
    keys
}

/// Bytes that differ by position and by `kind`.
fn pattern(length: usize, kind: u64) -> Bytes {
    (0..length as u64).map(|at| (at.wrapping_mul(2_654_435_761).wrapping_add(kind * 77) >> 7) as u8).collect()
}

/// Three segments of different lengths.
fn split(content: &Bytes) -> Vec<Bytes> {
    let (first, second) = (content.len() / 7, content.len() / 2);
    vec![content.slice(..first), content.slice(first..second), content.slice(second..)]
}
