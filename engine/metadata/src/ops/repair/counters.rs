//! Sums and counters.

use super::{Places, Repair};
use crate::keys::{self, Accumulator, Counter, Key, UsageField};
use crate::ops::charges::usage_key;
use crate::{Account, MetaResult};
use shoal_kv::{Direction, KeyRange, KvError, Transaction};
use shoal_types::{Ino, Timestamp};

pub(super) fn entries(transaction: &mut dyn Transaction, ino: Ino, recorded: i64, counted: i64) -> MetaResult<Repair> {
    adjust(transaction, &Key::Accumulator(ino, Accumulator::Entries).encode(), recorded, counted)
}

pub(super) fn subdirectories(
    transaction: &mut dyn Transaction,
    ino: Ino,
    recorded: i64,
    counted: i64,
) -> MetaResult<Repair> {
    adjust(transaction, &Key::Accumulator(ino, Accumulator::Subdirectories).encode(), recorded, counted)
}

pub(super) fn used_bytes(transaction: &mut dyn Transaction, recorded: i64, counted: i64) -> MetaResult<Repair> {
    account_bytes(transaction, Account::Volume, recorded, counted)
}

pub(super) fn staged_bytes(transaction: &mut dyn Transaction, recorded: i64, counted: i64) -> MetaResult<Repair> {
    adjust(transaction, &Key::StagedBytes.encode(), recorded, counted)
}

pub(super) fn used_inodes(transaction: &mut dyn Transaction, recorded: i64, counted: i64) -> MetaResult<Repair> {
    account_inodes(transaction, Account::Volume, recorded, counted)
}

pub(super) fn account_bytes(
    transaction: &mut dyn Transaction,
    account: Account,
    recorded: i64,
    counted: i64,
) -> MetaResult<Repair> {
    adjust(transaction, &usage_key(account, UsageField::Bytes), recorded, counted)
}

pub(super) fn account_inodes(
    transaction: &mut dyn Transaction,
    account: Account,
    recorded: i64,
    counted: i64,
) -> MetaResult<Repair> {
    adjust(transaction, &usage_key(account, UsageField::Inodes), recorded, counted)
}

/// A number that is not what the check has seen is left to the next check: what was mended since may have changed it.
fn adjust(transaction: &mut dyn Transaction, key: &[u8], recorded: i64, counted: i64) -> MetaResult<Repair> {
    let now = transaction.get(key)?.map_or(Ok(0), |value| value.try_into().map(i64::from_le_bytes));
    if now != Ok(recorded) {
        return Ok(Repair::NotNeeded);
    }
    transaction.add(key, counted - recorded);
    Ok(Repair::Done("the count is what there is"))
}

/// A counter goes beyond every number that is in use.
pub(super) fn raise(
    transaction: &mut dyn Transaction,
    counter: &str,
    places: &Places,
    now: Timestamp,
) -> MetaResult<Repair> {
    let Some(counter) = Counter::ALL.into_iter().find(|known| known.name() == counter.as_bytes()) else {
        return Ok(Repair::NotPossible("this program does not know it"));
    };
    let key = Key::Counter(counter).encode();
    let before = transaction.get(&key)?.map(|value| value.try_into().map(u64::from_le_bytes));
    let before = match before {
        Some(Err(_)) => return Err(KvError::Damaged(format!("the counter {counter:?} has no 8 bytes")).into()),
        Some(Ok(next)) => next,
        None => 0,
    };
    let end = match counter {
        Counter::NextInode => last(transaction, KeyRange { end: keys::inode(Ino::TRASH).start, ..keys::tag(b'n') })?
            .and_then(|key| keys::inode_of(&key))
            .map_or(FIRST_INODE, |ino| ino.0 + 1),
        Counter::NextObject => {
            let live = last(transaction, keys::tag(b'o'))?;
            let live = live.and_then(|key| match Key::parse(&key) {
                Some(Key::Object(object)) => Some(object.0 + 1),
                _ => None,
            });
            // Numbers that were leased may be names of objects that nothing refers to.
            live.unwrap_or(0).max(places.objects_end).max(before) + LEASED_MAX
        }
        // None lives, and no volume has had one a second.
        Counter::NextSession => now.seconds.max(1).cast_unsigned(),
        Counter::UsedBytes | Counter::UsedInodes => 0,
    };
    transaction.put(&key, &before.max(end).to_le_bytes());
    Ok(Repair::Done("it is beyond all numbers in use"))
}

fn last(transaction: &mut dyn Transaction, range: KeyRange) -> MetaResult<Option<Vec<u8>>> {
    Ok(transaction.scan(&range, 1, Direction::Backward)?.pop().map(|(key, _)| key))
}

const FIRST_INODE: u64 = Ino::ROOT.0 + 1;
const LEASED_MAX: u64 = 1 << 20;
