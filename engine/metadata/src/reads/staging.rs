//! What waits to be packed.

use crate::keys::{self, Key};
use crate::ops::stage;
use crate::records::decode_staged;
use crate::{MetaResult, Metadata, StagedFile};
use shoal_kv::Direction;
use shoal_types::{Ino, SessionId};

impl Metadata {
    /// Bytes that are staged in the whole volume.
    pub fn staged_bytes(&self) -> MetaResult<u64> {
        self.at_snapshot(|reader| Ok(stage::read_staged_bytes(reader)?.max(0).cast_unsigned()))
    }

    /// Sessions that have staged files, whether they live or not.
    pub fn staging_sessions(&self) -> MetaResult<Vec<SessionId>> {
        self.at_snapshot(|reader| {
            let (mut range, mut found) = (keys::staged(), Vec::new());
            while let Some((key, _)) = reader.scan(&range, 1, Direction::Forward)?.pop() {
                match Key::parse(&key) {
                    Some(Key::Staged(session, ..)) => {
                        found.push(session);
                        range.start = keys::staged_by(session).end;
                    }
                    // The consistency check names keys that are none.
                    _ => range = keys::behind(&key, &range),
                }
            }
            Ok(found)
        })
    }

    /// What a session has staged, by directory, behind the one given; at most `limit`.
    pub fn staged_files(
        &self,
        session: SessionId,
        behind: Option<(Ino, Ino)>,
        limit: usize,
    ) -> MetaResult<Vec<StagedFile>> {
        let range = match behind {
            Some((directory, ino)) => {
                keys::behind(&Key::Staged(session, directory, ino).encode(), &keys::staged_by(session))
            }
            None => keys::staged_by(session),
        };
        self.at_snapshot(|reader| {
            let mut found = Vec::new();
            for (key, value) in reader.scan(&range, limit, Direction::Forward)? {
                if let Some(Key::Staged(_, directory, ino)) = Key::parse(&key) {
                    found.push(StagedFile { directory, ino, bytes: decode_staged(&value)? });
                }
            }
            Ok(found)
        })
    }
}
