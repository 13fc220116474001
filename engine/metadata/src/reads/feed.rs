//! The change feed as its followers read it.

use crate::feed::{Event, Stamp};
use crate::keys::{self, Key};
use crate::records::{damaged, decode_event};
use crate::{MetaResult, Metadata};
use shoal_kv::{Direction, KvResult, Pair};

impl Metadata {
    /// The newest event's place, if there is any.
    pub fn feed_end(&self) -> MetaResult<Option<Stamp>> {
        self.at_snapshot(|reader| {
            let newest = reader.scan_stamped(&keys::events(), 1, Direction::Backward)?;
            Ok(newest.first().map(|(key, _)| stamp(key)).transpose()?)
        })
    }

    /// Events from this one on, or from the first; itself included.
    pub fn feed_from(&self, first: Option<Stamp>, limit: usize) -> MetaResult<Vec<(Stamp, Event)>> {
        let range = first.map_or_else(keys::events, keys::events_from);
        self.at_snapshot(|reader| {
            let pairs = reader.scan_stamped(&range, limit, Direction::Forward)?;
            Ok(pairs.iter().map(event).collect::<KvResult<_>>()?)
        })
    }
}

fn event((key, value): &Pair) -> KvResult<(Stamp, Event)> {
    Ok((stamp(key)?, decode_event(value)?))
}

fn stamp(key: &[u8]) -> KvResult<Stamp> {
    match Key::parse(key) {
        Some(Key::Event(stamp)) => Ok(stamp),
        _ => Err(damaged("the change feed", format!("{} is no event's key", key.escape_ascii()))),
    }
}
