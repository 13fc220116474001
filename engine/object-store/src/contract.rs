//! What every store must keep: claims that tests hold a store to, and that a command holds a service to.
//!
//! `shoal_object_store::contract_tests!(subject())` makes one test of each claim, each over a fresh [`Subject`]. A claim
//! that does not hold says what was found; nothing here panics.

use crate::{BoxFuture, ListedObject, ObjectStore, StoreError, StoreResult};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::join_all;
use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// A fresh, empty store, and what it needs to live.
pub struct Subject {
    store: Arc<dyn ObjectStore>,
    decides_races: bool,
    _kept: Option<Box<dyn Any + Send + Sync>>,
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
    pub fn keeping(mut self, kept: impl Any + Send + Sync) -> Self {
        self._kept = Some(Box::new(kept));
        self
    }
}

/// What was found where something else was claimed.
#[derive(Debug)]
pub struct Broken(String);

pub type Verdict = Result<(), Broken>;
pub type Claim = for<'a> fn(&'a Subject) -> BoxFuture<'a, Verdict>;

/// Every claim by name.
pub const CLAIMS: &[(&str, Claim)] = crate::contract_tests!(@list table);

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
            $crate::contract::run(async { $crate::contract::$claim(&$open).await.expect("the claim holds") });
        })*
    };
    ($open:expr) => { $crate::contract_tests! { @list functions $open } };
}

/// Ends a claim with what was found, unless it holds.
macro_rules! ensure {
    ($holds:expr, $($found:tt)*) => {
        if !$holds {
            return Err(Broken(format!($($found)*)));
        }
    };
}

/// Runs a future on a small runtime of its own.
pub fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime starts").block_on(work)
}

pub fn what_was_put_is_read_back_whole_and_by_ranges(subject: &Subject) -> BoxFuture<'_, Verdict> {
    Box::pin(async {
        let (key, content) = ("v/objects/9e/1", pattern(10_000, 1));
        put(subject, key, split(&content)).await?;
        for (start, end) in [(0, 10_000), (0, 1), (9_999, 10_000), (4_095, 4_097), (5_000, 5_000), (1, 9_999)] {
            let got = get(subject, key, start as u64..end as u64).await?;
            ensure!(got == content[start..end], "bytes {start}..{end} are not what was put");
        }
        ensure!(subject.store.get_whole(key).await? == content, "the whole object is not what was put");
        Ok(())
    })
}

pub fn a_taken_key_is_refused_and_keeps_its_content(subject: &Subject) -> BoxFuture<'_, Verdict> {
    Box::pin(async {
        put(subject, "v/1", vec![Bytes::from_static(b"first")]).await?;
        for other in ["second, and longer", ""] {
            let refused = put(subject, "v/1", vec![Bytes::from_static(other.as_bytes())]).await;
            ensure!(matches!(refused, Err(StoreError::Exists(_))), "a put over an object gave {refused:?}");
        }
        ensure!(get(subject, "v/1", 0..5).await? == "first", "the content of the object has changed");
        let found = keys(subject, "").await?;
        ensure!(found == BTreeMap::from([("v/1".to_string(), 5)]), "listed are {found:?}");
        Ok(())
    })
}

pub fn what_is_missing_is_not_found(subject: &Subject) -> BoxFuture<'_, Verdict> {
    Box::pin(async {
        for key in ["v/1", "v/objects/9e/1", "other"] {
            for range in [0..1, 0..0, 7..9] {
                let missing = get(subject, key, range.clone()).await;
                ensure!(matches!(missing, Err(StoreError::NotFound(_))), "{key}, {range:?}: {missing:?}");
            }
            let missing = subject.store.get_whole(key).await;
            ensure!(matches!(missing, Err(StoreError::NotFound(_))), "{key}: {missing:?}");
        }
        Ok(())
    })
}

pub fn a_range_beyond_the_end_is_an_error(subject: &Subject) -> BoxFuture<'_, Verdict> {
    Box::pin(async {
        put(subject, "v/1", vec![Bytes::from_static(b"12345")]).await?;
        for range in [0..6, 4..6, 5..6, 100..200] {
            let short = get(subject, "v/1", range.clone()).await;
            ensure!(matches!(short, Err(StoreError::Other(_))), "{range:?} of five bytes: {short:?}");
        }
        Ok(())
    })
}

pub fn what_was_deleted_is_not_found(subject: &Subject) -> BoxFuture<'_, Verdict> {
    Box::pin(async {
        put(subject, "v/1", vec![Bytes::from_static(b"x")]).await?;
        put(subject, "v/2", vec![Bytes::from_static(b"y")]).await?;
        subject.store.delete("v/1").await?;
        let missing = get(subject, "v/1", 0..1).await;
        ensure!(matches!(missing, Err(StoreError::NotFound(_))), "what was deleted: {missing:?}");
        ensure!(get(subject, "v/2", 0..1).await? == "y", "another object has changed");
        let again = subject.store.delete("v/1").await;
        ensure!(matches!(again, Ok(()) | Err(StoreError::NotFound(_))), "deleting what is missing: {again:?}");
        // A deleted key is free.
        put(subject, "v/1", vec![Bytes::from_static(b"anew")]).await?;
        Ok(())
    })
}

pub fn a_list_names_exactly_what_is_there(subject: &Subject) -> BoxFuture<'_, Verdict> {
    Box::pin(async {
        let mut expected = BTreeMap::new();
        for number in 0..400u64 {
            expected.insert(format!("v/objects/{:02x}/{number}", number % 7), number % 50);
        }
        let objects = expected.iter().map(|(key, bytes)| (key.clone(), pattern(*bytes as usize, 3))).collect();
        put_all(subject, objects).await?;
        put(subject, "w/objects/00/1", vec![Bytes::from_static(b"of another volume")]).await?;
        let found = keys(subject, "v/objects/").await?;
        ensure!(found == expected, "{} objects are listed, {} were put", found.len(), expected.len());
        expected.retain(|key, _| key.starts_with("v/objects/03/1"));
        let found = keys(subject, "v/objects/03/1").await?;
        ensure!(found == expected, "by a prefix within a name: {found:?}");
        for (prefix, count) in [("w", 1), ("", 401), ("nowhere/at/all", 0)] {
            let found = keys(subject, prefix).await?.len();
            ensure!(found == count, "with the prefix '{prefix}', {found} objects are listed, and {count} are there");
        }
        Ok(())
    })
}

pub fn an_error_of_found_ends_the_list(subject: &Subject) -> BoxFuture<'_, Verdict> {
    Box::pin(async {
        put_all(subject, (0..20).map(|number| (format!("v/{number}"), Bytes::from_static(b"x"))).collect()).await?;
        let mut calls = 0;
        let mut found = |_: ListedObject| {
            calls += 1;
            if calls == 3 { Err(StoreError::Other("enough".into())) } else { Ok(()) }
        };
        let ended = subject.store.list("v/", &mut found).await;
        ensure!(ended == Err(StoreError::Other("enough".into())), "the list ended with {ended:?}");
        ensure!(calls == 3, "{calls} objects were told, and the third was refused");
        Ok(())
    })
}

pub fn large_and_empty_objects_come_back(subject: &Subject) -> BoxFuture<'_, Verdict> {
    Box::pin(async {
        // The largest block that a volume can have, of segments that are one in memory.
        let part = pattern(LARGE_BYTES / LARGE_PARTS, 5);
        let mut segments = vec![part.clone(); LARGE_PARTS];
        segments.insert(1, Bytes::new());
        segments.push(Bytes::new());
        put(subject, "v/large", segments).await?;
        put(subject, "v/none", Vec::new()).await?;
        put(subject, "v/empty", vec![Bytes::new()]).await?;
        let large = get(subject, "v/large", 0..LARGE_BYTES as u64).await?;
        ensure!(large.chunks(part.len()).all(|chunk| chunk == part), "{LARGE_BYTES} bytes are not what was put");
        ensure!(get(subject, "v/none", 0..0).await?.is_empty(), "an empty object has content");
        let beyond = get(subject, "v/empty", 0..1).await;
        ensure!(beyond.is_err(), "an empty object has a byte: {beyond:?}");
        let lengths = [("v/empty", 0), ("v/large", LARGE_BYTES as u64), ("v/none", 0)];
        let found = keys(subject, "v/").await?;
        ensure!(found == lengths.map(|(key, bytes)| (key.to_string(), bytes)).into(), "listed are {found:?}");
        Ok(())
    })
}

pub fn odd_but_legal_keys_work(subject: &Subject) -> BoxFuture<'_, Verdict> {
    Box::pin(async {
        // As long as any part of a volume's keys. Some servers make one name of a whole key, and names have their bounds.
        let long = format!("v/{}", "x".repeat(40));
        let odd = ["single", "v/with space", "v/..dots..", "v/.hidden", "v/%41+~=&?#", "v/\u{e9}\u{4e2d}", &long];
        for (number, key) in odd.iter().enumerate() {
            put(subject, key, vec![pattern(10 + number, 1)]).await?;
        }
        for (number, key) in odd.iter().enumerate() {
            let got = get(subject, key, 0..10 + number as u64).await?;
            ensure!(got == pattern(10 + number, 1), "{key} is not what was put");
        }
        let found: Vec<String> = keys(subject, "").await?.into_keys().collect();
        let mut expected = odd.map(String::from);
        expected.sort();
        ensure!(found == expected, "listed are {found:?}");
        Ok(())
    })
}

pub fn of_puts_of_one_key_at_once_one_wins_whole(subject: &Subject) -> BoxFuture<'_, Verdict> {
    Box::pin(async {
        for round in 0..10 {
            let key = format!("v/{round}");
            let contents: Vec<Bytes> = (0..8).map(|writer| pattern(100_000, writer)).collect();
            let outcomes = join_all(contents.iter().map(|content| put(subject, &key, split(content)))).await;
            let stored = get(subject, &key, 0..100_000).await?;
            let Some(winner) = contents.iter().position(|content| *content == stored) else {
                return Err(Broken("what is stored is none of those that were put".into()));
            };
            ensure!(outcomes[winner].is_ok(), "who won was told {:?}", outcomes[winner]);
            let lost = outcomes.iter().filter(|outcome| matches!(outcome, Err(StoreError::Exists(_)))).count();
            ensure!(lost == 7 || !subject.decides_races, "seven of eight lost; told so were {lost}: {outcomes:?}");
        }
        Ok(())
    })
}

pub fn a_put_that_is_dropped_leaves_the_whole_object_or_none(subject: &Subject) -> BoxFuture<'_, Verdict> {
    Box::pin(async {
        let content = pattern(1 << 20, 3);
        for round in 0..40u64 {
            let key = format!("v/{round}");
            let put = put(subject, &key, split(&content));
            // Dropped at various moments: nearly at once up to about when it would be done.
            let ended = tokio::time::timeout(Duration::from_micros(round * 50), put).await;
            match get(subject, &key, 0..content.len() as u64).await {
                Ok(stored) => ensure!(stored == content, "round {round}: it is not what was put"),
                Err(StoreError::NotFound(_)) => {
                    ensure!(ended.is_err(), "round {round}: it was confirmed and is missing")
                }
                Err(error) => return Err(Broken(format!("round {round}: {error}"))),
            }
        }
        let found = keys(subject, "v/").await?;
        ensure!(found.values().all(|bytes| *bytes == content.len() as u64), "listed are {found:?}");
        Ok(())
    })
}

pub fn stored_objects_can_be_synced(subject: &Subject) -> BoxFuture<'_, Verdict> {
    Box::pin(async {
        let names: Vec<String> = (0..40).map(|number| format!("v/objects/{:02x}/{number}", number % 5)).collect();
        put_all(subject, names.iter().map(|key| (key.clone(), pattern(1000, 1))).collect()).await?;
        subject.store.sync(&[]).await?;
        subject.store.sync(&names[..10]).await?;
        subject.store.sync(&names).await?;
        subject.store.sync_all().await?;
        ensure!(get(subject, &names[39], 0..1000).await? == pattern(1000, 1), "a synced object has changed");
        Ok(())
    })
}

async fn put(subject: &Subject, key: &str, segments: Vec<Bytes>) -> StoreResult<()> {
    subject.store.put(key, segments).await
}

/// Several at a time.
async fn put_all(subject: &Subject, objects: Vec<(String, Bytes)>) -> StoreResult<()> {
    let puts = objects.into_iter().map(|(key, content)| async move { put(subject, &key, vec![content]).await });
    let outcomes: Vec<_> = futures_util::stream::iter(puts).buffer_unordered(PUTS_AT_ONCE).collect().await;
    outcomes.into_iter().collect()
}

async fn get(subject: &Subject, key: &str, range: Range<u64>) -> StoreResult<Bytes> {
    subject.store.get(key, range).await
}

async fn keys(subject: &Subject, prefix: &str) -> Result<BTreeMap<String, u64>, Broken> {
    let (mut keys, mut twice) = (BTreeMap::new(), None);
    let mut found = |object: ListedObject| {
        if keys.insert(object.key.clone(), object.bytes).is_some() {
            twice = Some(object.key);
        }
        Ok(())
    };
    subject.store.list(prefix, &mut found).await?;
    match twice {
        Some(key) => Err(Broken(format!("{key} is listed twice"))),
        None => Ok(keys),
    }
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

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<StoreError> for Broken {
    fn from(error: StoreError) -> Self {
        Broken(format!("an operation failed: {error}"))
    }
}

const LARGE_BYTES: usize = 64 << 20;
const LARGE_PARTS: usize = 64;
const PUTS_AT_ONCE: usize = 16;
