//! Clones by reference: the ioctls of `shoal clone`.
//!
//! The kernel has checked that the caller may open what it calls them on: the source for reading, and a file without a name in
//! the directory where the copy is to appear, which takes the right to make names there. What lies inside the source is
//! checked by the volume, on behalf of the caller. The source and the lifeline are brought together by the process that has
//! both open.

use super::{SUPERUSER, VolumeService, privileges};
use shoal_client::{Caller, CloneStatus};
use shoal_fuse_protocol::{CloneOut, CloneOutState, CloneRequest, Header};
use shoal_types::{Errno, FsResult, Ino, Name};
use std::collections::VecDeque;
use std::sync::Mutex;

/// Sources that processes have named and not begun to clone; shared by all shards of a mount. The oldest go first.
#[derive(Default)]
pub(super) struct OfferedSources(Mutex<VecDeque<Offer>>);

#[derive(Clone, Copy, PartialEq, Eq)]
struct Process {
    pid: u32,
    uid: u32,
    gid: u32,
}

struct Offer {
    process: Process,
    lifeline: Ino,
    source: Ino,
}

const OFFERS_MAX: usize = 256;

impl OfferedSources {
    fn put(&self, offer: Offer) {
        let mut offers = self.0.lock().expect(UNPOISONED);
        if offers.len() == OFFERS_MAX {
            offers.pop_front();
        }
        offers.push_back(offer);
    }

    fn take(&self, process: Process, lifeline: Ino) -> Option<Ino> {
        let mut offers = self.0.lock().expect(UNPOISONED);
        let found = offers.iter().position(|offer| (offer.process, offer.lifeline) == (process, lifeline))?;
        offers.remove(found).map(|offer| offer.source)
    }
}

impl VolumeService {
    /// What the ioctl puts out.
    pub(super) async fn clone_tree(&self, header: &Header, ino: Ino, request: CloneRequest) -> FsResult<Vec<u8>> {
        match request {
            CloneRequest::Source { lifeline } => {
                let (process, lifeline) = (Process::of(header), self.nodes.ino(lifeline));
                self.offered_sources.put(Offer { process, lifeline, source: ino });
                Ok(Vec::new())
            }
            CloneRequest::Begin { name } => self.begin_clone(header, ino, &name).await.map(|()| Vec::new()),
            CloneRequest::Work => Ok(clone_out(self.work_on_clone(ino).await?).encode().to_vec()),
        }
    }

    async fn begin_clone(&self, header: &Header, lifeline: Ino, name: &Name) -> FsResult<()> {
        let source = self.offered_sources.take(Process::of(header), lifeline).ok_or(Errno::EBADF)?;
        let caller = self.caller(header);
        self.volume.begin_clone(source, lifeline, name, caller).await.map(drop)
    }

    async fn work_on_clone(&self, lifeline: Ino) -> FsResult<CloneStatus> {
        let (notifier, nodes) = (self.notifier.clone(), self.nodes);
        let appeared = move |parent: Ino, name: &Name| {
            let Ok(parent) = nodes.node(parent) else { return };
            // The kernel has not made the name itself: it may remember that there is none, and how many there were.
            let told = notifier.invalidate_entry(parent, name.as_bytes()).and(notifier.invalidate_attributes(parent));
            if let Err(error) = told {
                tracing::warn!(%name, %error, "the kernel may show a clone late");
            }
        };
        self.volume.work_on_clone(lifeline, appeared).await
    }

    /// Whom to read the source for. Where ids are not believed, neither are groups; and ACLs count where the mount shows them.
    fn caller(&self, header: &Header) -> Caller {
        let groups = match header.uid == SUPERUSER || self.squash.is_on() {
            true => Vec::new(),
            false => privileges::groups_of(header.pid),
        };
        Caller { uid: header.uid, gid: header.gid, groups, acls: self.posix_acl }
    }
}

impl Process {
    fn of(header: &Header) -> Self {
        Process { pid: header.pid, uid: header.uid, gid: header.gid }
    }
}

fn clone_out(status: CloneStatus) -> CloneOut {
    let CloneStatus { entries, bytes, done, refusal } = status;
    let state = match refusal {
        Some((errno, path)) => CloneOutState::Refused(errno, path),
        None if done => CloneOutState::Done,
        None => CloneOutState::Working,
    };
    CloneOut { entries, bytes, state }
}

const UNPOISONED: &str = "no code panics while it holds this lock";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_for_the_process_that_named_it_once() {
        let offers = OfferedSources::default();
        let process = |pid| Process { pid, uid: 1, gid: 1 };
        offers.put(Offer { process: process(7), lifeline: Ino(5), source: Ino(3) });
        assert_eq!(offers.take(process(8), Ino(5)), None);
        assert_eq!(offers.take(process(7), Ino(6)), None);
        assert_eq!(offers.take(process(7), Ino(5)), Some(Ino(3)));
        assert_eq!(offers.take(process(7), Ino(5)), None);
    }

    #[test]
    fn only_the_latest_offers_are_kept() {
        let offers = OfferedSources::default();
        let process = Process { pid: 1, uid: 1, gid: 1 };
        for number in 0..=OFFERS_MAX as u64 {
            offers.put(Offer { process, lifeline: Ino(number), source: Ino(3) });
        }
        assert_eq!(offers.take(process, Ino(0)), None);
        assert_eq!(offers.take(process, Ino(1)), Some(Ino(3)));
    }
}
