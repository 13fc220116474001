//! When other sessions were last heard of, by this host's clock alone: a heartbeat must stand still for `SESSION_EXPIRY`
//! before our eyes. Clocks of different hosts are never compared.

use crate::SESSION_EXPIRY;
use shoal_metadata::SessionInfo;
use shoal_types::{SessionId, Timestamp};
use std::collections::HashMap;
use std::time::Instant;

/// The last heartbeat of each other session, and since when we know it.
#[derive(Default)]
pub(crate) struct Heard(HashMap<SessionId, (Timestamp, Instant)>);

impl Heard {
    /// Nothing has been heard of it for so long that it counts as dead.
    pub fn is_silent(&mut self, info: &SessionInfo, now: Instant) -> bool {
        let (heartbeat, since) = self.0.entry(info.session).or_insert((info.heartbeat, now));
        if *heartbeat != info.heartbeat {
            (*heartbeat, *since) = (info.heartbeat, now);
        }
        now.duration_since(*since) > SESSION_EXPIRY
    }

    /// These are all there are.
    pub fn keep(&mut self, sessions: &[SessionInfo]) {
        self.0.retain(|known, _| sessions.iter().any(|info| info.session == *known));
    }
}
