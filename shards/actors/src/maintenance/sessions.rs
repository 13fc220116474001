//! Heartbeats, and who else has the volume mounted.

use super::Next;
use super::heard::Heard;
use crate::session::{is_orphan, is_other_mount};
use crate::shard::Shard;
use crate::shared::{NOT_ALONE, now};
use crate::{SESSION_EXPIRY, limits};
use shoal_kv::Durability;
use shoal_metadata::{EndSession, Heartbeat, MetaOp, SessionInfo, SessionRecord};
use shoal_types::{FsResult, SessionId, Timestamp};
use std::rc::Rc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Instant;

pub(super) struct Sessions {
    own: SessionRecord,
    heard: Heard,
}

impl Sessions {
    pub fn new(own: SessionRecord) -> Self {
        Sessions { own, heard: Heard::default() }
    }

    pub async fn beat(&self, shard: &Rc<Shard>) {
        if shard.shared.is_fenced() {
            return;
        }
        let operation = MetaOp::Heartbeat(Heartbeat { session: shard.shared.session, now: now() });
        if let Err(error) = shard.mutate(operation, Durability::Visible).await {
            tracing::warn!(%error, "the heartbeat could not be committed");
        }
    }

    /// Finds out whether this mount is alone: when it's time to, and when others have changed something since it was.
    pub async fn look(&mut self, shard: &Rc<Shard>, due: bool) -> Next {
        let mark = shard.shared.mark();
        let known = shard.shared.alone_epoch.load(SeqCst);
        if !due && (known == NOT_ALONE || mark == Some(known)) {
            return None;
        }
        let alone = match self.others_live(shard).await {
            Ok(others) => !others,
            Err(error) => {
                tracing::warn!(%error, "the sessions could not be read");
                false
            }
        };
        let heard = alone && self.has_heard_all(shard).await;
        // The mark of before the look: what was registered since moves it again. Without one nobody can tell.
        let alone_epoch = mark.filter(|_| heard).unwrap_or(NOT_ALONE);
        shard.shared.alone_epoch.store(alone_epoch, SeqCst);
        shard.shared.feed.want(shard.shared.kv.foreign_epoch().is_none() || alone_epoch == NOT_ALONE);
        // The feed is a moment behind; or nobody reads it, and then nobody is ever known to be alone.
        let again = alone && alone_epoch == NOT_ALONE && shard.shared.feed.consistency.follows();
        again.then_some(limits::SESSION_LOOK_INTERVAL)
    }

    /// Whether what others changed before they left has come to us. An engine's own epoch tells of it at once.
    async fn has_heard_all(&self, shard: &Rc<Shard>) -> bool {
        if shard.shared.kv.foreign_epoch().is_some() {
            return true;
        }
        let end = shard.read_metadata(|metadata| metadata.feed_end()).await;
        end.is_ok_and(|end| end == shard.shared.feed.last())
    }

    async fn others_live(&mut self, shard: &Rc<Shard>) -> FsResult<bool> {
        let session = shard.shared.session;
        let sessions = shard.read_metadata(|metadata| metadata.sessions()).await?;
        self.heard.keep(&sessions);
        let mut others = false;
        for info in sessions.iter().filter(|info| info.session != session) {
            let ended = match self.is_dead(info) {
                true => self.end(shard, info).await?,
                false => false,
            };
            others |= !ended && is_other_mount(info, session);
        }
        Ok(others)
    }

    /// Ends this session if it's dead; `false` while it lives.
    pub async fn end_if_dead(&mut self, shard: &Rc<Shard>, session: SessionId) -> FsResult<bool> {
        match shard.read_metadata(move |metadata| metadata.session_info(session)).await? {
            Some(info) if self.is_dead(&info) => self.end(shard, &info).await,
            Some(_) => Ok(false),
            None => Ok(true),
        }
    }

    fn is_dead(&mut self, info: &SessionInfo) -> bool {
        self.heard.is_silent(info, Instant::now()) || is_orphan(&info.record, &self.own)
    }

    /// Ends a dead session, unless it shows a sign of life first.
    async fn end(&self, shard: &Rc<Shard>, info: &SessionInfo) -> FsResult<bool> {
        let SessionInfo { session, record, heartbeat, .. } = info;
        tracing::warn!(%session, host = record.host, pid = record.pid, "ending a session that is dead");
        let just_after = Timestamp::from_nanos(heartbeat.as_nanos() + 1);
        loop {
            let end = EndSession { session: *session, if_silent_since: Some(just_after), now: now() };
            if shard.mutate(MetaOp::EndSession(end), Durability::Visible).await?.into_ended()? {
                break;
            }
        }
        let session = *session;
        let sessions = shard.read_metadata(|metadata| metadata.sessions()).await?;
        shard.maintenance_due.set(true);
        Ok(!sessions.iter().any(|info| info.session == session))
    }
}

const _: () = assert!(limits::HEARTBEAT_INTERVAL.as_secs() < SESSION_EXPIRY.as_secs());
