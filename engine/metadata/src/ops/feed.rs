//! Who the change feed is written for, events, and trimming.
//!
//! Whether an operation writes an event stands in its session's record, which it reads anyway. The record of the audience
//! changes only when sessions come and go; when that makes it appear or vanish, the sessions' records are rewritten in the
//! same transaction. So everything a session changes after another has come is in the feed.

use super::session;
use crate::feed::{Change, Event, Stamp};
use crate::keys::{self, Key};
use crate::records::{Audience, Rules, SessionRecord, encode_event};
use crate::{MetaOp, MetaReply, MetaResult, TrimFeed};
use shoal_kv::{Direction, KeyRange, KvResult, Transaction};
use shoal_types::SessionId;

/// A session begins, whose own record is not written yet. Tells whether it's to write events.
pub(super) fn join(transaction: &mut dyn Transaction, id: SessionId, record: &SessionRecord) -> MetaResult<bool> {
    let there = change_audience(transaction, |audience| audience.with(record))?;
    write(transaction, id, Change::Joined);
    Ok(there)
}

/// A session ends, whose record is gone already.
pub(super) fn leave(transaction: &mut dyn Transaction, id: SessionId, record: &SessionRecord) -> MetaResult<()> {
    change_audience(transaction, |audience| audience.without(record))?;
    write(transaction, id, Change::Left);
    Ok(())
}

fn change_audience(transaction: &mut dyn Transaction, change: impl Fn(Audience) -> Audience) -> MetaResult<bool> {
    let key = Key::Audience.encode();
    let before = Audience::decode(transaction.get(&key)?.as_deref())?;
    let after = change(before);
    let there = after.is_there();
    if after != before {
        transaction.put(&key, &after.encode());
    }
    if there != before.is_there() {
        session::rewrite_rules(transaction, |rules| Rules { feed: there, ..rules })?;
    }
    Ok(there)
}

/// What an operation of this session has changed, if the feed is written.
pub(crate) fn tell(
    transaction: &mut dyn Transaction,
    id: SessionId,
    operation: &MetaOp,
    reply: &MetaReply,
) -> KvResult<()> {
    // Operations read this record anyway: it costs no round trip.
    let Some(record) = transaction.get(&Key::Session(id).encode())? else { return Ok(()) };
    if Rules::decode(&record)?.feed
        && let Some(change) = Change::of(operation, reply)
    {
        write(transaction, id, change);
    }
    Ok(())
}

fn write(transaction: &mut dyn Transaction, session: SessionId, change: Change) {
    transaction.put_versionstamped(keys::EVENT_PREFIX, &encode_event(&Event { session, change }));
}

/// Takes some of the oldest events away, up to and at a stamp, but never the newest of all: followers know by it that they
/// have missed none.
pub(super) fn trim(transaction: &mut dyn Transaction, operation: &TrimFeed) -> MetaResult<MetaReply> {
    let newest = transaction.scan_unchecked(&keys::events(), 1, Direction::Backward)?;
    let Some((newest, _)) = newest.into_iter().next() else { return Ok(MetaReply::Ended { done: true }) };
    let end = keys::after_event(operation.until).min(newest);
    let range = KeyRange { end, ..keys::events() };
    if range.start >= range.end {
        return Ok(MetaReply::Ended { done: true });
    }
    let old = transaction.scan_unchecked(&range, EVENTS_MAX, Direction::Forward)?;
    if let Some((last, _)) = old.last() {
        transaction.delete_range(&KeyRange { end: [last.as_slice(), &[0]].concat(), ..range })?;
    }
    Ok(MetaReply::Ended { done: old.len() < EVENTS_MAX })
}

/// That one transaction takes away.
const EVENTS_MAX: usize = 1000;

const _: () = assert!(size_of::<Stamp>() == 10);
