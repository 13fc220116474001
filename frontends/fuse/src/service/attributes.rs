//! What `stat` tells and what chmod, chown, truncate and utimes change.

use super::entries::permissions;
use super::{SUPERUSER, VolumeService};
use crate::transport::{Reply, ReplyBody};
use shoal_client::{AttributeChanges, NewTime};
use shoal_fuse_protocol::{Header, SetAttributes, SetTime, attr_out, statx_out};
use shoal_types::{FsResult, Ino, InodeFlags};

impl VolumeService {
    pub(super) async fn getattr(&self, ino: Ino) -> FsResult<[u8; 104]> {
        let attributes = self.volume.get_attributes(ino).await?;
        Ok(attr_out(self.volume.timeouts((ino, attributes.kind), None).attributes, &attributes))
    }

    /// The kernel asks this way only for a time of birth.
    pub(super) async fn statx(&self, ino: Ino) -> FsResult<[u8; 288]> {
        let attributes = self.volume.get_attributes(ino).await?;
        Ok(statx_out(self.volume.timeouts((ino, attributes.kind), None).attributes, &attributes))
    }

    pub(super) async fn setattr(&self, header: &Header, ino: Ino, changes: &SetAttributes) -> FsResult<[u8; 104]> {
        self.drop_for_setattr(header, ino, changes).await?;
        let changes = AttributeChanges { exempt: header.uid == SUPERUSER, ..attribute_changes(changes) };
        let attributes = self.volume.set_attributes(ino, changes).await?;
        Ok(attr_out(self.volume.timeouts((ino, attributes.kind), None).attributes, &attributes))
    }

    async fn read_link(&self, ino: Ino) -> FsResult<Vec<u8>> {
        let target = self.volume.read_link(ino).await?;
        if !self.read_only {
            self.volume.note_access(&self.volume.get_attributes(ino).await?);
        }
        Ok(target)
    }

    pub(super) async fn readlink<R: Reply>(&self, ino: Ino, reply: R) {
        match self.read_link(ino).await {
            Ok(target) => reply.send(Ok(ReplyBody::Bytes(&target))),
            Err(errno) => reply.send(Err(errno)),
        }
    }
}

/// The ctime that a kernel with write-back cache sends is left out: every change sets it to the present.
fn attribute_changes(changes: &SetAttributes) -> AttributeChanges {
    AttributeChanges {
        mode: changes.mode.map(permissions),
        uid: changes.uid,
        gid: changes.gid,
        length: changes.size,
        atime: changes.atime.map(new_time),
        mtime: changes.mtime.map(new_time),
        drop_privileges: changes.kill_suidgid,
        exempt: false,
        despite: allowed(changes),
    }
}

/// Flags that don't stand against it. An append-only inode may be touched. A kernel with write-back cache keeps the
/// modification time itself; it tells it with the change time, alone when it writes it back, and when a file is touched.
fn allowed(changes: &SetAttributes) -> InodeFlags {
    let SetAttributes { mode, uid, gid, size, atime, mtime, ctime, .. } = changes;
    if mode.is_some() || uid.is_some() || gid.is_some() || size.is_some() {
        return InodeFlags::default();
    }
    match (atime, mtime) {
        (Some(SetTime::Now), Some(SetTime::Now)) => InodeFlags::APPEND_ONLY,
        (Some(SetTime::Now), Some(_)) if ctime.is_some() => InodeFlags::APPEND_ONLY,
        (None, Some(_)) if ctime.is_some() => InodeFlags::PROTECTION,
        _ => InodeFlags::default(),
    }
}

fn new_time(time: SetTime) -> NewTime {
    match time {
        SetTime::Now => NewTime::Now,
        SetTime::At(at) => NewTime::At(at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_types::Timestamp;

    #[test]
    fn every_requested_change_is_passed_on_and_nothing_else() {
        assert_eq!(attribute_changes(&SetAttributes::default()), AttributeChanges::default());
        let at = Timestamp::new(5, 6);
        let asked = SetAttributes {
            mode: Some(0o104_711),
            uid: Some(1),
            gid: Some(2),
            size: Some(3),
            atime: Some(SetTime::Now),
            mtime: Some(SetTime::At(at)),
            ctime: Some(Timestamp::new(9, 9)),
            kill_suidgid: true,
            ..SetAttributes::default()
        };
        let expected = AttributeChanges {
            mode: Some(0o4711),
            uid: Some(1),
            gid: Some(2),
            length: Some(3),
            atime: Some(NewTime::Now),
            mtime: Some(NewTime::At(at)),
            drop_privileges: true,
            exempt: false,
            despite: InodeFlags::default(),
        };
        assert_eq!(attribute_changes(&asked), expected);
    }

    #[test]
    fn only_being_touched_and_what_the_kernel_writes_back_stand_above_flags() {
        use SetTime::{At, Now};
        let time = Timestamp::new(5, 6);
        let none = SetAttributes::default();
        let times = |atime, mtime| SetAttributes { atime, mtime, ..SetAttributes::default() };
        let kept = |changes: SetAttributes| SetAttributes { ctime: Some(time), ..changes };
        for (changes, despite) in [
            (none, InodeFlags::default()),
            (times(Some(Now), Some(Now)), InodeFlags::APPEND_ONLY),
            (times(Some(Now), None), InodeFlags::default()),
            (times(Some(Now), Some(At(time))), InodeFlags::default()),
            (times(None, Some(At(time))), InodeFlags::default()),
            (kept(times(None, Some(At(time)))), InodeFlags::PROTECTION),
            (kept(times(Some(Now), Some(At(time)))), InodeFlags::APPEND_ONLY),
            (kept(times(Some(At(time)), Some(At(time)))), InodeFlags::default()),
            (SetAttributes { mode: Some(0), ..kept(times(None, Some(At(time)))) }, InodeFlags::default()),
            (SetAttributes { size: Some(0), ..times(Some(Now), Some(Now)) }, InodeFlags::default()),
        ] {
            assert_eq!(attribute_changes(&changes).despite, despite, "{changes:?}");
        }
    }
}
