//! What a change of content by an ordinary user takes away: set-id bits and the capability.
//!
//! The kernel says when (HANDLE_KILLPRIV_V2), and it leaves the rest to us. Most files have none of these, and then this
//! costs a look at attributes that are mostly remembered.

use super::read_write::WriteFlags;
use super::{SUPERUSER, VolumeService};
use shoal_client::AttributeChanges;
use shoal_fuse_protocol::abi::WRITE_KILL_SUIDGID;
use shoal_fuse_protocol::{Header, SetAttributes};
use shoal_types::{Attributes, Errno, FileKind, FsResult, Ino, InodeFlags, XattrName};

impl VolumeService {
    /// Before a WRITE. Who may keep set-id bits loses the capability all the same. The kernel removes that by itself, but
    /// not for appenders, whose writes bypass its cache.
    pub(super) async fn drop_for_write(&self, header: &Header, ino: Ino, flags: WriteFlags) -> FsResult<()> {
        if flags.write & WRITE_KILL_SUIDGID != 0 {
            return self.drop_privileges(header, ino).await;
        }
        if !flags.appends() || !self.volume.get_attributes(ino).await?.flags.has(InodeFlags::CAPABILITY) {
            return Ok(());
        }
        match self.volume.remove_xattr(ino, &XattrName::known(XattrName::CAPABILITY)).await {
            Ok(_) | Err(Errno::ENODATA) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    /// Before a WRITE. The reply to come carries no attributes, and whoever runs the file
    /// meanwhile must not get what the kernel remembers of them. An append-only file lets it in.
    async fn drop_privileges(&self, header: &Header, ino: Ino) -> FsResult<()> {
        let despite = InodeFlags::APPEND_ONLY;
        let attributes = self.volume.get_attributes(ino).await?;
        if !attributes.is_privileged() && !has_bare_setgid(&attributes) {
            return Ok(());
        }
        self.drop_setgid_of_stranger(header, &attributes, despite).await?;
        let changes = AttributeChanges { drop_privileges: true, despite, ..AttributeChanges::default() };
        self.volume.set_attributes(ino, changes).await?;
        if let Err(error) = self.notifier.invalidate_attributes(self.nodes.node(ino)?) {
            tracing::warn!(%ino, %error, "the kernel may run a file with set-id bits that are gone");
        }
        Ok(())
    }

    /// Before a FALLOCATE or COPY_FILE_RANGE, with which the kernel does not say whether the caller may keep the bits. Being
    /// root stands for the capability.
    pub(super) async fn drop_privileges_for_range(&self, header: &Header, ino: Ino) -> FsResult<()> {
        match header.uid {
            SUPERUSER => Ok(()),
            _ => self.drop_privileges(header, ino).await,
        }
    }

    /// Before a SETATTR, which answers the attributes. Root may keep the bits, also where the kernel says otherwise:
    /// of a change of owner it always says so.
    pub(super) async fn drop_for_setattr(&self, header: &Header, ino: Ino, changes: &SetAttributes) -> FsResult<()> {
        if changes.kill_suidgid && header.uid != SUPERUSER {
            let attributes = self.volume.get_attributes(ino).await?;
            self.drop_setgid_of_stranger(header, &attributes, InodeFlags::default()).await?;
        }
        Ok(())
    }

    /// A setgid bit without group execution stays for members of the group, of whom the kernel does not tell.
    async fn drop_setgid_of_stranger(
        &self,
        header: &Header,
        attributes: &Attributes,
        despite: InodeFlags,
    ) -> FsResult<()> {
        if has_bare_setgid(attributes) && !self.is_member(header, attributes.gid) {
            let mode = Some(attributes.mode & !SETGID);
            let changes = AttributeChanges { mode, despite, ..AttributeChanges::default() };
            self.volume.set_attributes(attributes.ino, changes).await?;
        }
        Ok(())
    }

    /// A request names one group; the others stand in `/proc`. It is read for files with a bare setgid bit alone, of which
    /// there are next to none. They are not believed where ids are not.
    fn is_member(&self, header: &Header, group: u32) -> bool {
        header.gid == group || !self.squash.is_on() && groups_of(header.pid).contains(&group)
    }
}

/// The groups of a process beside the one that its requests name; none of a process that is gone, or of another pid
/// namespace.
pub(super) fn groups_of(pid: u32) -> Vec<u32> {
    groups(&std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default()).collect()
}

const SETGID: u16 = 0o2000;
const GROUP_EXECUTE: u16 = 0o010;

fn has_bare_setgid(attributes: &Attributes) -> bool {
    attributes.kind == FileKind::Regular && attributes.mode & (SETGID | GROUP_EXECUTE) == SETGID
}

fn groups(status: &str) -> impl Iterator<Item = u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("Groups:")).unwrap_or_default();
    line.split_whitespace().filter_map(|group| group.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_of_the_groups_that_proc_tells() {
        assert_eq!(groups("Name:\tcat\nGroups:\t4 24 4242 \nNStgid:\t9\n").collect::<Vec<_>>(), [4, 24, 4242]);
        assert_eq!(groups("Groups:\t \n").count() + groups("").count(), 0);
    }
}
