//! The change feed's records: an event, format and postcard; and who would read it: format, mounts (4), those of them that
//! follow (4), watchers (4).

use super::fields::u32_at;
use super::{Consistency, SessionKind, SessionRecord, body, damaged, decode_cold, encode_cold};
use crate::feed::Event;
use shoal_kv::KvResult;

/// Sessions that live, counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Audience {
    pub mounts: u32,
    /// Those that read the feed.
    pub following: u32,
    /// Sessions that read the feed and change nothing.
    pub watchers: u32,
}

impl Audience {
    /// Somebody reads what somebody else changes.
    pub fn is_there(&self) -> bool {
        (self.watchers > 0 && self.mounts > 0) || (self.following > 0 && self.mounts > 1)
    }

    pub fn with(self, session: &SessionRecord) -> Self {
        self.changed(session, |count| count + 1)
    }

    pub fn without(self, session: &SessionRecord) -> Self {
        self.changed(session, |count| count.saturating_sub(1))
    }

    fn changed(mut self, session: &SessionRecord, change: impl Fn(u32) -> u32) -> Self {
        match session.kind {
            SessionKind::Mount => {
                self.mounts = change(self.mounts);
                if session.consistency != Consistency::Strict {
                    self.following = change(self.following);
                }
            }
            SessionKind::Watcher => self.watchers = change(self.watchers),
            SessionKind::Command => {}
        }
        self
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        for count in [self.mounts, self.following, self.watchers] {
            bytes.extend_from_slice(&count.to_le_bytes());
        }
        bytes
    }

    /// What is missing is nobody.
    pub fn decode(bytes: Option<&[u8]>) -> KvResult<Self> {
        let Some(bytes) = bytes else { return Ok(Audience::default()) };
        body(AUDIENCE, bytes, FORMAT)?;
        match bytes.len() {
            BYTES => Ok(Audience { mounts: u32_at(bytes, 1), following: u32_at(bytes, 5), watchers: u32_at(bytes, 9) }),
            length => Err(damaged(AUDIENCE, format!("{length} bytes instead of {BYTES}"))),
        }
    }
}

pub fn encode_event(event: &Event) -> Vec<u8> {
    encode_cold(FORMAT, event)
}

pub fn decode_event(bytes: &[u8]) -> KvResult<Event> {
    decode_cold("an event of the feed", bytes, FORMAT)
}

const AUDIENCE: &str = "the record of who reads the feed";
const FORMAT: u8 = 1;
const BYTES: usize = 13;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_written_only_where_somebody_else_reads_them() {
        let there = |mounts, following, watchers| Audience { mounts, following, watchers }.is_there();
        assert!(!there(1, 1, 0), "a mount knows what it does itself");
        assert!(!there(0, 0, 1));
        assert!(!there(5, 0, 0), "nobody reads them");
        assert!(there(2, 1, 0));
        assert!(there(1, 0, 1));
    }
}
