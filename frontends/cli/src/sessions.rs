//! Sessions of a volume as commands see them: who they are, and whether their processes live.

use crate::clock;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::meta_url::MetaUrl;
use crate::process;
use crate::volume::Opened;
use serde::Serialize;
use shoal_client::SESSION_EXPIRY;
use shoal_kv::Durability;
use shoal_metadata::{EndSession, MetaOp, Metadata, SessionInfo, SessionKind, SessionRecord};
use shoal_types::{Consistency, Timestamp};
use std::path::Path;

/// What is known of a session's process.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Life {
    Alive,
    /// It ran on this host and has ended without a word.
    Gone,
    /// It has not been heard of for so long that it counts as dead.
    Silent,
}

/// This machine, as session records name it.
pub struct Here {
    host: String,
    boot: String,
}

impl Here {
    pub fn look() -> Outcome<Self> {
        let unknown = |error| Failure::of_io(Path::new("/proc"), "asking which machine this is", &error);
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let host = match process::namespace().map_err(unknown)? {
            None => name,
            // Process numbers of one container mean nothing in another, so a container is a host of its own.
            Some(namespace) => format!("{name}/{namespace}"),
        };
        Ok(Here { host, boot: process::boot_id().map_err(unknown)? })
    }

    /// For a session of this process.
    pub fn record(&self, kind: SessionKind, mount_point: &Path) -> SessionRecord {
        SessionRecord {
            host: self.host.clone(),
            boot: self.boot.clone(),
            pid: std::process::id(),
            started: clock::now(),
            mount_point: mount_point.to_string_lossy().into_owned(),
            kind,
            consistency: Consistency::Strict,
        }
    }

    /// As records name it.
    pub fn name(&self) -> &str {
        &self.host
    }

    pub fn mount_record(&self, mount_point: &Path, consistency: Consistency) -> SessionRecord {
        SessionRecord { consistency, ..self.record(SessionKind::Mount, mount_point) }
    }

    pub fn life(&self, session: &SessionInfo, now: Timestamp) -> Life {
        let record = &session.record;
        let silent = clock::age(session.heartbeat, now) > SESSION_EXPIRY;
        let local = record.host == self.host;
        match local.then(|| record.boot == self.boot && process::exists(record.pid)) {
            Some(false) => Life::Gone,
            // A machine that slept has heard nothing for long, and yet its daemons live.
            Some(true) if silent && process::is_shoal(record.pid) => Life::Alive,
            _ if silent => Life::Silent,
            _ => Life::Alive,
        }
    }
}

pub fn all(metadata: &Metadata) -> Outcome<Vec<(SessionInfo, Life)>> {
    let here = Here::look()?;
    let sessions = metadata.sessions().map_err(|error| Failure::of_metadata("the volume's sessions", &error))?;
    let now = clock::now();
    Ok(sessions.into_iter().map(|session| (here.life(&session, now), session)).map(|(life, it)| (it, life)).collect())
}

/// The sessions in which somebody still uses the volume.
pub fn alive(metadata: &Metadata) -> Outcome<Vec<SessionInfo>> {
    let all = all(metadata)?;
    Ok(all.into_iter().filter(|(_, life)| *life == Life::Alive).map(|(session, _)| session).collect())
}

/// For what must not happen to a volume in use.
pub fn refuse_live(url: &MetaUrl, opened: &Opened) -> Outcome<()> {
    let alive = alive(&opened.metadata)?;
    if alive.is_empty() {
        return Ok(());
    }
    let users: Vec<String> = alive.iter().map(describe).collect();
    let why = format!("the volume {} is in use by {}", opened.settings.name, users.join(", and by "));
    Err(Failure::new(Exit::InUse, url, why, "unmount it there first: shoal umount MOUNTPOINT"))
}

/// Ends those that are dead: what they had open and what they had leased is free from then on.
pub fn end_dead(metadata: &Metadata) -> Outcome<u64> {
    let mut ended = 0;
    for (session, _) in all(metadata)?.iter().filter(|(_, life)| *life != Life::Alive) {
        // A session that speaks again since it was looked at is left alone.
        let if_silent_since = Some(Timestamp::from_nanos(session.heartbeat.as_nanos().saturating_add(1)));
        let end = EndSession { session: session.session, if_silent_since, now: clock::now() };
        run_to_end(metadata, &MetaOp::EndSession(end))?;
        ended += 1;
    }
    Ok(ended)
}

/// An operation in steps: again until it is done.
pub fn run_to_end(metadata: &Metadata, operation: &MetaOp) -> Outcome<()> {
    let failed = |error| Failure::of_metadata("the volume's metadata", &error);
    while !metadata
        .run(operation.clone(), Durability::Visible)
        .and_then(|reply| reply.into_ended().map_err(Into::into))
        .map_err(failed)?
    {}
    Ok(())
}

/// `process 17 on host, mounted on /mnt`
pub fn describe(session: &SessionInfo) -> String {
    let SessionRecord { host, pid, mount_point, kind, .. } = &session.record;
    match kind {
        SessionKind::Mount => format!("process {pid} on {host}, mounted on {mount_point}"),
        SessionKind::Command => format!("process {pid} on {host}, a command"),
        SessionKind::Watcher => format!("process {pid} on {host}, which watches"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_types::SessionId;

    fn session(here: &Here, change: impl FnOnce(&mut SessionInfo)) -> SessionInfo {
        let record = here.record(SessionKind::Mount, Path::new("/mnt"));
        let mut made = SessionInfo { session: SessionId(1), record, heartbeat: clock::now(), sustained: 0 };
        change(&mut made);
        made
    }

    #[test]
    fn a_local_process_that_has_ended_is_gone_at_once_and_a_distant_one_only_after_its_time() {
        let here = Here::look().unwrap();
        let now = clock::now();
        let late = Timestamp::new(now.seconds + SESSION_EXPIRY.as_secs() as i64 + 1, 0);
        let life = |now, change: fn(&mut SessionInfo)| here.life(&session(&here, change), now);
        assert_eq!(life(now, |_| {}), Life::Alive);
        // Beyond what the kernel counts to.
        assert_eq!(life(now, |session| session.record.pid = i32::MAX as u32), Life::Gone);
        assert_eq!(life(now, |session| session.record.boot = "another".into()), Life::Gone);
        assert_eq!(life(now, |session| session.record.host = "another".into()), Life::Alive);
        assert_eq!(life(late, |session| session.record.host = "another".into()), Life::Silent);
    }
}
