//! Clones under way: for whoever tidies up.

use crate::keys::{self, Key};
use crate::records::{CloneRecord, CloneState};
use crate::{CloneInfo, MetaResult, Metadata};
use shoal_kv::Direction;

impl Metadata {
    /// All that have begun and are not tidied up. There are few.
    pub fn clones(&self) -> MetaResult<Vec<CloneInfo>> {
        self.at_snapshot(|reader| {
            let mut range = keys::tag(b'k');
            let mut found = Vec::new();
            while let Some((key, value)) = reader.scan(&range, 1, Direction::Forward)?.pop() {
                let Some(Key::Clone(clone)) = Key::parse(&key) else {
                    // The consistency check names notes of no clone.
                    range = keys::behind(&key, &range);
                    continue;
                };
                let CloneRecord { session, state, .. } = CloneRecord::decode(&value)?;
                let orphaned = reader.get(&Key::Session(session).encode())?.is_none();
                found.push(CloneInfo { clone, session, filling: state == CloneState::Filling, orphaned });
                range.start = keys::clone(clone).end;
            }
            Ok(found)
        })
    }
}
