//! Who has the volume in use.

use crate::keys::{self, Key};
use crate::ops::heartbeat;
use crate::records::{SessionKind, SessionRecord};
use crate::{MetaResult, Metadata, SessionInfo};
use shoal_kv::{Direction, KvResult, Pair};
use shoal_types::{Consistency, SessionId, Timestamp};

impl Metadata {
    /// Every session, by number. One whose end was begun and never finished is told too, as a command of no host, so that
    /// whoever ends silent sessions ends it.
    pub fn sessions(&self) -> MetaResult<Vec<SessionInfo>> {
        self.at_snapshot(|reader| {
            let mut sessions: Vec<SessionInfo> = Vec::new();
            let mut range = keys::tag(b's');
            loop {
                let pairs = reader.scan(&range, BATCH, Direction::Forward)?;
                for pair in &pairs {
                    note(&mut sessions, pair)?;
                }
                match pairs.last() {
                    Some((last, _)) if pairs.len() == BATCH => range = keys::behind(last, &range),
                    _ => return Ok(sessions),
                }
            }
        })
    }

    /// One session; `None` if it has ended.
    pub fn session_info(&self, session: SessionId) -> MetaResult<Option<SessionInfo>> {
        self.at_snapshot(|reader| {
            let keys = [Key::Session(session).encode(), Key::Heartbeat(session).encode()];
            let found = reader.get_many(&[&keys[0], &keys[1]])?;
            let [Some(record), heartbeat] = &found[..] else { return Ok(None) };
            let heartbeat = heartbeat::last_heard(session, heartbeat.as_deref())?;
            Ok(Some(SessionInfo { session, record: SessionRecord::decode(record)?, heartbeat, sustained: 0 }))
        })
    }
}

fn note(sessions: &mut Vec<SessionInfo>, (key, value): &Pair) -> KvResult<()> {
    match Key::parse(key) {
        Some(Key::Session(session)) => at(sessions, session).record = SessionRecord::decode(value)?,
        Some(Key::Heartbeat(session)) => {
            at(sessions, session).heartbeat = heartbeat::last_heard(session, Some(value))?;
        }
        Some(Key::Sustained(session, _)) => at(sessions, session).sustained += 1,
        Some(Key::Operation(session, _) | Key::ObjectLease(session, _)) => {
            at(sessions, session);
        }
        Some(Key::LockOf(session, ..) | Key::WaiterOf(session, ..) | Key::Bell(session)) => {
            at(sessions, session);
        }
        // The consistency check names keys that are none.
        _ => {}
    }
    Ok(())
}

/// Keys come in the order of sessions, so it's the last one or a new one.
fn at(sessions: &mut Vec<SessionInfo>, session: SessionId) -> &mut SessionInfo {
    if sessions.last().is_none_or(|last| last.session != session) {
        sessions.push(SessionInfo { session, record: nobody(), heartbeat: Timestamp::ZERO, sustained: 0 });
    }
    sessions.last_mut().expect("there is one now")
}

fn nobody() -> SessionRecord {
    SessionRecord {
        host: String::new(),
        boot: String::new(),
        pid: 0,
        started: Timestamp::ZERO,
        mount_point: String::new(),
        kind: SessionKind::Command,
        consistency: Consistency::Strict,
    }
}

const BATCH: usize = 1000;
