//! Whose turn it is to back the metadata up. One session at a time makes a backup; another takes over when that one has ended.
//!
//! These are no operations of the file system: they change nothing of it.

use crate::keys::Key;
use crate::records::Backups;
use crate::{MetaResult, Metadata};
use shoal_kv::{Durability, Transaction, Verdict};
use shoal_types::{SessionId, Timestamp};
use std::time::Duration;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BackupTurn {
    /// The session is to make one now.
    Own,
    /// Another one does.
    Other(SessionId),
    /// The last one, begun then, is not old enough.
    NotYet(Timestamp),
}

impl Metadata {
    /// Takes the turn if the last backup is `interval` old. One that seems to come from the future is as good as none.
    pub fn take_backup_turn(&self, session: SessionId, interval: Duration, now: Timestamp) -> MetaResult<BackupTurn> {
        let interval = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
        let turn = self.kv().transact(Durability::Visible, move |transaction, _| {
            let key = Key::Backups.encode();
            let backups = Backups::decode(transaction.get(&key)?.as_deref())?;
            if let Some(maker) = backups.maker.filter(|maker| *maker != session)
                && transaction.get(&Key::Session(maker).encode())?.is_some()
            {
                return Ok((BackupTurn::Other(maker), Verdict::Abort));
            }
            let is_young = |last: &Timestamp| *last <= now && now.as_nanos() - last.as_nanos() < interval;
            if let Some(last) = backups.last.filter(is_young) {
                return Ok((BackupTurn::NotYet(last), Verdict::Abort));
            }
            transaction.put(&key, &Backups { maker: Some(session), ..backups }.encode());
            Ok((BackupTurn::Own, Verdict::Commit))
        })?;
        Ok(turn)
    }

    /// Ends the session's turn. `made`: when the backup was begun that is complete now, if it is.
    pub fn end_backup_turn(&self, session: SessionId, made: Option<Timestamp>) -> MetaResult<()> {
        self.kv().transact(Durability::Visible, move |transaction: &mut dyn Transaction, _| {
            let key = Key::Backups.encode();
            let backups = Backups::decode(transaction.get(&key)?.as_deref())?;
            if backups.maker != Some(session) {
                return Ok(((), Verdict::Abort));
            }
            transaction.put(&key, &Backups { maker: None, last: made.or(backups.last) }.encode());
            Ok(((), Verdict::Commit))
        })?;
        Ok(())
    }

    /// When the last complete backup was begun.
    pub fn last_backup(&self) -> MetaResult<Option<Timestamp>> {
        self.at_snapshot(|reader| Ok(Backups::decode(reader.get(&Key::Backups.encode())?.as_deref())?.last))
    }
}
