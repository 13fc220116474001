//! What every engine must keep, as tests that any crate can run against its engine.
//!
//! `shoal_kv::contract_tests!(|| open_a_fresh_store())` makes one test of each claim; [`run_all`] runs them in a row
//! (against a real server, say). Each claim opens a store of its own. Races are staged with two clients whose bodies
//! wait for each other, but never for long: an engine that runs bodies one after another must pass as well.

mod clients;
mod conflicts;
mod jobs;
mod reads;
mod updates;

pub use clients::*;
pub use conflicts::*;
pub use jobs::*;
pub use reads::*;
pub use updates::*;

use crate::{Attempt, Direction, Durability, KeyRange, Kv, KvResult, Pair, Transaction, Verdict};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// A fresh, empty store, removed with this value.
pub trait ContractStore {
    /// A further client, to which the commits of the others are foreign.
    fn client(&self) -> Arc<dyn Kv>;

    /// How many commits of all clients have been refused as conflicts so far, if the engine counts them.
    fn conflicts(&self) -> Option<u64> {
        None
    }
}

pub type Open<'a> = dyn Fn() -> Box<dyn ContractStore> + 'a;

pub type Claim = fn(&Open<'_>);

/// Every claim by name.
pub const CLAIMS: &[(&str, Claim)] = crate::contract_tests!(@list table);

pub fn run_all(open: &Open<'_>) {
    for (name, claim) in CLAIMS {
        eprintln!("contract: {name}");
        claim(open);
    }
}

#[macro_export]
macro_rules! contract_tests {
    (@list $then:ident $($open:expr)?) => {
        $crate::contract_tests! { @$then [
            a_reader_sees_one_snapshot
            a_transaction_sees_one_snapshot
            a_snapshot_shows_one_moment_however_long_it_takes
            a_transaction_reads_its_own_writes
            transactions_agree_with_an_ordered_map
            scans_keep_their_range_limit_and_direction
            get_many_answers_in_the_order_of_the_keys
            write_skew_is_refused
            phantoms_are_refused
            updates_are_never_lost
            unchecked_reads_do_not_conflict
            concurrent_commutative_updates_sum_exactly_without_conflicts
            stamps_grow_in_commit_order
            an_abort_or_error_leaves_nothing
            limits_are_refused
            a_durable_commit_is_visible_when_it_returns
            operation_records_make_every_operation_happen_once
            every_job_is_told_its_end_exactly_once
            close_waits_for_queued_jobs_and_refuses_later_ones
            the_foreign_epoch_grows_with_foreign_commits_only
            what_was_read_at_an_epoch_is_current_while_it_stands
            a_watch_wakes_on_a_change_and_only_then
            a_watch_for_stamps_misses_none
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

/// Runs `body` exactly once in effect, also where results may be unknown: an operation record tells a second run that
/// the first one has committed.
fn change(kv: &Arc<dyn Kv>, mut body: impl FnMut(&mut dyn Transaction) -> KvResult<()> + Send + 'static) {
    let record = fresh_record();
    let recorded = kv.results_may_be_unknown();
    kv.transact(Durability::Visible, move |transaction, attempt| {
        if happened(transaction, attempt, &record)? {
            return Ok(((), Verdict::Abort));
        }
        if recorded {
            transaction.put(&record, b"");
        }
        body(transaction)?;
        Ok(((), Verdict::Commit))
    })
    .expect("a change of the contract suite commits");
}

fn happened(transaction: &mut dyn Transaction, attempt: Attempt, record: &[u8]) -> KvResult<bool> {
    Ok(attempt.maybe_committed && transaction.get(record)?.is_some())
}

/// A key outside of all that the claims look at.
fn fresh_record() -> Vec<u8> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    [b"\x01record".as_slice(), &number.to_be_bytes()].concat()
}

fn get(kv: &Arc<dyn Kv>, key: &[u8]) -> Option<Vec<u8>> {
    let mut value = None;
    kv.read(&mut |reader| {
        value = reader.get(key)?;
        Ok(())
    })
    .expect("a read of the contract suite succeeds");
    value
}

fn scan(kv: &Arc<dyn Kv>, range: &KeyRange, limit: usize, direction: Direction) -> Vec<Pair> {
    let mut pairs = Vec::new();
    kv.read(&mut |reader| {
        pairs = reader.scan(range, limit, direction)?;
        Ok(())
    })
    .expect("a scan of the contract suite succeeds");
    pairs
}

fn all(kv: &Arc<dyn Kv>, prefix: &[u8]) -> Vec<Pair> {
    scan(kv, &KeyRange::prefix(prefix), usize::MAX, Direction::Forward)
}

fn number(value: Option<Vec<u8>>) -> u64 {
    value.map_or(0, |bytes| u64::from_le_bytes(bytes.try_into().expect("a counter has 8 bytes")))
}

/// Where two bodies wait for each other, so that they overlap if the engine lets them.
struct Meeting {
    arrived: Mutex<usize>,
    changed: Condvar,
    expected: usize,
}

impl Meeting {
    fn of(expected: usize) -> Arc<Self> {
        Arc::new(Meeting { arrived: Mutex::new(0), changed: Condvar::new(), expected })
    }

    /// Comes, and stays until all are there or it is clear that this engine lets no two bodies run at once.
    fn arrive(&self) {
        let mut arrived = self.arrived.lock().expect("no panic under this lock");
        *arrived += 1;
        self.changed.notify_all();
        let patience = Duration::from_millis(50);
        let waited = self.changed.wait_timeout_while(arrived, patience, |arrived| *arrived < self.expected);
        drop(waited.expect("no panic under this lock"));
    }
}
