//! The beginning of a mount's session: who else is there, and how long to wait for what their kernels may believe.

use crate::limits;
use crate::shards::StartError;
use crate::shared::now;
use shoal_kv::Durability;
use shoal_metadata::{
    EndSession, MetaOp, MetaResult, Metadata, RegisterSession, SessionInfo, SessionKind, SessionRecord,
};
use shoal_types::SessionId;
use std::path::Path;
use std::time::{Duration, Instant};

/// Registers a session, and returns when nothing that other mounts have promised their kernels can be wrong any more
/// (decision 0007). Blocks.
pub(crate) fn begin(metadata: &Metadata, record: &SessionRecord) -> Result<SessionId, StartError> {
    end_orphans(metadata, record).map_err(StartError::Session)?;
    let operation = MetaOp::RegisterSession(RegisterSession { record: record.clone(), now: now() });
    let reply = metadata.run(operation, Durability::Visible).map_err(StartError::Session)?;
    let session = reply.into_registered().map_err(|errno| StartError::Session(errno.into()))?;
    wait_out_others(metadata, session).map_err(StartError::Session)?;
    Ok(session)
}

/// Ends the sessions whose processes died on this host.
fn end_orphans(metadata: &Metadata, record: &SessionRecord) -> MetaResult<()> {
    for other in metadata.sessions()? {
        if is_orphan(&other.record, record) {
            tracing::info!(session = %other.session, pid = other.record.pid, "ending the session of a dead process");
            end(metadata, other.session)?;
        }
    }
    Ok(())
}

/// The session's process ran on the host of `own`, and runs no more.
pub(crate) fn is_orphan(other: &SessionRecord, own: &SessionRecord) -> bool {
    if other.host != own.host {
        return false;
    }
    other.boot != own.boot || !Path::new("/proc").join(other.pid.to_string()).exists()
}

/// All steps of the end of a session.
pub(crate) fn end(metadata: &Metadata, session: SessionId) -> MetaResult<()> {
    loop {
        let operation = MetaOp::EndSession(EndSession { session, if_silent_since: None, now: now() });
        if metadata.run(operation, Durability::Visible)?.into_ended()? {
            return Ok(());
        }
    }
}

pub(crate) fn is_other_mount(other: &SessionInfo, session: SessionId) -> bool {
    other.session != session && other.record.kind == SessionKind::Mount
}

fn wait_out_others(metadata: &Metadata, session: SessionId) -> MetaResult<()> {
    let wait: Duration = limits::KERNEL_TIMEOUT_MAX + limits::KERNEL_REPLY_DELAY_MAX;
    let registered = Instant::now();
    while registered.elapsed() < wait && metadata.sessions()?.iter().any(|other| is_other_mount(other, session)) {
        std::thread::sleep(limits::NEWCOMER_LOOK_INTERVAL);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_types::Consistency;

    fn record(host: &str, boot: &str, pid: u32) -> SessionRecord {
        let (host, boot) = (host.to_owned(), boot.to_owned());
        SessionRecord {
            host,
            boot,
            pid,
            started: now(),
            mount_point: "/mnt".into(),
            kind: SessionKind::Mount,
            consistency: Consistency::Strict,
        }
    }

    #[test]
    fn only_dead_processes_of_the_same_host_are_orphans() {
        let own = record("here", "boot", std::process::id());
        assert!(!is_orphan(&own, &own));
        // Beyond the largest number a process can have.
        assert!(is_orphan(&record("here", "boot", 1 << 30), &own));
        assert!(is_orphan(&record("here", "earlier", std::process::id()), &own));
        assert!(!is_orphan(&record("there", "boot", 1 << 30), &own));
    }
}
