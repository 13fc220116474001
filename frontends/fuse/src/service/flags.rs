//! The flags of chattr(1) and lsattr(1).
//!
//! The kernel checks who may set them: the owner, and for what protects a file whoever has the capability for it. Where
//! callers' ids are not believed that is checked again here, and being the superuser stands for the capability.

use super::{SUPERUSER, VolumeService};
use shoal_fuse_protocol::{FlagsRequest, Header, extended_flags_out, flags_out};
use shoal_types::{Attributes, Errno, FsResult, Ino, InodeFlags};

impl VolumeService {
    /// What the ioctl puts out.
    pub(super) async fn flags(&self, header: &Header, ino: Ino, request: FlagsRequest) -> FsResult<Vec<u8>> {
        match request {
            FlagsRequest::Get => Ok(flags_out(self.volume.get_attributes(ino).await?.flags).to_vec()),
            FlagsRequest::GetExtended => Ok(extended_flags_out(self.volume.get_attributes(ino).await?.flags).to_vec()),
            FlagsRequest::Set { flags, decided } => {
                self.set_flags(header, ino, flags, decided).await.map(|()| Vec::new())
            }
        }
    }

    /// `EPERM` for the trash and its hours.
    async fn set_flags(&self, header: &Header, ino: Ino, flags: InodeFlags, decided: InodeFlags) -> FsResult<()> {
        if ino.is_trash() {
            return Err(Errno::EPERM);
        }
        if self.squash.is_on() && !may_set(&self.volume.get_attributes(ino).await?, header, flags, decided) {
            return Err(Errno::EPERM);
        }
        self.volume.set_flags(ino, flags, decided).await?;
        // The answer carries no attributes, and the change time has moved.
        if let Err(error) = self.notifier.invalidate_attributes(self.nodes.node(ino)?) {
            tracing::warn!(%ino, %error, "the kernel may show an old change time");
        }
        Ok(())
    }
}

fn may_set(attributes: &Attributes, caller: &Header, flags: InodeFlags, decided: InodeFlags) -> bool {
    let protects = decided.only(InodeFlags(flags.0 ^ attributes.flags.0)).any(InodeFlags::PROTECTION);
    caller.uid == SUPERUSER || caller.uid == attributes.uid && !protects
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_types::{FileKind, Timestamp};

    #[test]
    fn an_owner_sets_what_protects_nothing_and_a_stranger_sets_nothing() {
        let flags = InodeFlags(InodeFlags::IMMUTABLE.0 | InodeFlags::XATTRS.0);
        let at = Timestamp::ZERO;
        let attributes = Attributes {
            ino: Ino(5),
            kind: FileKind::Regular,
            flags,
            mode: 0o644,
            uid: 7,
            gid: 7,
            rdev: 0,
            nlink: 1,
            length: 0,
            allocated: 0,
            atime: at,
            mtime: at,
            ctime: at,
            btime: at,
        };
        let may = |uid, flags| {
            let caller = Header { opcode: 0, unique: 1, nodeid: 1, uid, gid: 7, pid: 9 };
            may_set(&attributes, &caller, flags, InodeFlags::BY_USERS)
        };
        let immutable_without_dump = InodeFlags(InodeFlags::IMMUTABLE.0 | InodeFlags::NO_DUMP.0);
        assert!(may(7, immutable_without_dump) && !may(7, InodeFlags::NO_DUMP), "that would unprotect it");
        assert!(!may(7, InodeFlags::PROTECTION) && may(0, InodeFlags::APPEND_ONLY));
        assert!(!may(8, immutable_without_dump));
    }
}
