//! Which session maintains the volume: one at a time, until it ends or is ended.
//!
//! Its steps are transactions that any session could run at any time, so two that believe to hold it do no harm; that there
//! is one spares the others the work. Everybody else watches that one alone: its heartbeat must stand still for
//! `SESSION_EXPIRY` before our eyes. So a mount that is alone always holds it.

use super::sessions::Sessions;
use crate::shard::Shard;
use shoal_kv::Durability;
use shoal_metadata::{MetaOp, TakeMaintenance};
use shoal_types::{FsResult, SessionId};
use std::rc::Rc;

#[derive(Default)]
pub(super) struct Holder {
    own: bool,
}

impl Holder {
    /// This session maintains the volume.
    pub fn is_own(&self) -> bool {
        self.own
    }

    /// Takes it if nobody has it, or if whoever has it is dead.
    pub async fn look(&mut self, shard: &Rc<Shard>, sessions: &mut Sessions) {
        let own = match self.take(shard, sessions).await {
            Ok(holder) => holder == shard.shared.session,
            Err(error) => {
                tracing::warn!(%error, "who maintains the volume could not be found out");
                false
            }
        };
        if own && !self.own {
            tracing::info!("this mount maintains the volume");
        }
        self.own = own;
    }

    async fn take(&self, shard: &Rc<Shard>, sessions: &mut Sessions) -> FsResult<SessionId> {
        let session = shard.shared.session;
        let take = || MetaOp::TakeMaintenance(TakeMaintenance { session });
        let holder = shard.mutate(take(), Durability::Visible).await?.into_holder()?;
        if holder != session && sessions.end_if_dead(shard, holder).await? {
            return shard.mutate(take(), Durability::Visible).await?.into_holder();
        }
        Ok(holder)
    }
}
