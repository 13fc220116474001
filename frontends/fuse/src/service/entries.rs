//! Names: LOOKUP, and everything that makes one.

use super::files::WRITER_FLAGS;
use super::{VolumeService, trash};
use rustix::fs::OFlags;
use shoal_client::{KernelTimeouts, NewInode};
use shoal_fuse_protocol::{EntryOut, Header, Validity, create_out, entry_out, negative_entry_out};
use shoal_types::{Attributes, Errno, FileKind, FsResult, Ino, Name};
use std::time::Duration;

/// Inode numbers are never used again, so they need no generation beside them.
const GENERATION: u64 = 0;
const SYMLINK_MODE: u32 = 0o777;

/// What open(2), mkdir(2) and mknod(2) ask for, and the caller's umask: which of it counts is up to the parent's ACL.
#[derive(Clone, Copy, Debug)]
pub(super) struct Permissions {
    /// `st_mode`.
    pub mode: u32,
    pub umask: u32,
}

impl VolumeService {
    pub(super) async fn lookup(&self, header: &Header, parent: Ino, name: &[u8]) -> FsResult<EntryOut> {
        let found = match name {
            // The kernel sends these only to servers that export over NFS, which INIT does not offer to be.
            b"." => self.volume.get_attributes(parent).await,
            b".." => self.volume.get_attributes(self.parent(parent).await?).await,
            name => self.volume.lookup(parent, &Name::new(name)?).await,
        };
        let at = Name::new(name);
        match found {
            Ok(attributes) if self.hides(header, parent, &attributes) => Err(Errno::ENOENT),
            Ok(attributes) => self.entry(&attributes, at.as_ref().ok().map(|name| (parent, name))),
            Err(Errno::ENOENT) if trash::may_appear(parent, name) => Err(Errno::ENOENT),
            Err(Errno::ENOENT) => self.no_entry(),
            Err(errno) => Err(errno),
        }
    }

    /// The kernel may remember that there is no such name. It replaces that itself when a name is made through it.
    fn no_entry(&self) -> FsResult<EntryOut> {
        match if self.squash.is_on() { Duration::ZERO } else { self.volume.missing_timeout() } {
            Duration::ZERO => Err(Errno::ENOENT),
            validity => Ok(negative_entry_out(validity)),
        }
    }

    /// For how long a reply may be believed. Where callers are checked here, each step of their paths has to come here.
    fn timeouts(&self, inode: (Ino, FileKind), at: Option<(Ino, &Name)>) -> KernelTimeouts {
        let timeouts = self.volume.timeouts(inode, at);
        match self.squash.is_on() {
            true => KernelTimeouts { entries: Duration::ZERO, ..timeouts },
            false => timeouts,
        }
    }

    /// ".." as seen through this mount: nothing lies above its root.
    pub(super) async fn parent(&self, ino: Ino) -> FsResult<Ino> {
        if ino == self.nodes.root { Ok(ino) } else { self.volume.get_parent(ino).await }
    }

    /// A reply about an inode and the name it was found under, if it has one, valid from now. It must be sent: the kernel
    /// forgets the inode as often as it has been told of it.
    fn entry(&self, attributes: &Attributes, at: Option<(Ino, &Name)>) -> FsResult<EntryOut> {
        let entry = self.uncounted_entry(attributes, at)?;
        self.volume.note_lookup(attributes.ino);
        Ok(entry)
    }

    /// The same before it's known whether it will be sent.
    pub(super) fn uncounted_entry(&self, attributes: &Attributes, at: Option<(Ino, &Name)>) -> FsResult<EntryOut> {
        let timeouts = match trash::is_trash(attributes) {
            true => KernelTimeouts::default(),
            false => self.timeouts((attributes.ino, attributes.kind), at),
        };
        let validity = Validity { entry: timeouts.entries, attributes: timeouts.attributes };
        Ok(entry_out(self.nodes.node(attributes.ino)?, GENERATION, validity, attributes))
    }

    /// The kernel asks to create only a name that it believes is missing. If it's wrong, and the program would take an
    /// existing file too, ESTALE makes it look again and open what it finds, with all checks.
    pub(super) async fn create(
        &self,
        header: &Header,
        parent: Ino,
        name: &[u8],
        flags: u32,
        permissions: Permissions,
    ) -> FsResult<[u8; 144]> {
        let new = new_inode(header, FileKind::Regular, permissions);
        let name = Name::new(name)?;
        let opened = match self.volume.create_open(parent, &name, new).await {
            Err(Errno::EEXIST) if !OFlags::from_bits_retain(flags).contains(OFlags::EXCL) => Err(Errno::ESTALE),
            other => other,
        }?;
        let entry = self.entry(&opened.attributes, Some((parent, &name)))?;
        Ok(create_out(&entry, self.next_handle(), WRITER_FLAGS | self.appender_flags(flags)))
    }

    /// The kernel lets linkat(2) name it unless it was opened with O_EXCL, which is for the kernel alone to know.
    pub(super) async fn tmpfile(
        &self,
        header: &Header,
        directory: Ino,
        permissions: Permissions,
    ) -> FsResult<[u8; 144]> {
        let new = new_inode(header, FileKind::Regular, permissions);
        let opened = self.volume.create_nameless(directory, new).await?;
        Ok(create_out(&self.entry(&opened.attributes, None)?, self.next_handle(), WRITER_FLAGS))
    }

    pub(super) async fn mknod(
        &self,
        header: &Header,
        parent: Ino,
        name: &[u8],
        permissions: Permissions,
        rdev: u32,
    ) -> FsResult<EntryOut> {
        let kind = FileKind::from_mode(permissions.mode).ok_or(Errno::EINVAL)?;
        let rdev = if matches!(kind, FileKind::CharDevice | FileKind::BlockDevice) { rdev } else { 0 };
        self.make(parent, name, NewInode { rdev, ..new_inode(header, kind, permissions) }).await
    }

    pub(super) async fn mkdir(
        &self,
        header: &Header,
        parent: Ino,
        name: &[u8],
        permissions: Permissions,
    ) -> FsResult<EntryOut> {
        self.make(parent, name, new_inode(header, FileKind::Directory, permissions)).await
    }

    pub(super) async fn symlink(&self, header: &Header, parent: Ino, name: &[u8], target: &[u8]) -> FsResult<EntryOut> {
        let new = new_inode(header, FileKind::Symlink, Permissions { mode: SYMLINK_MODE, umask: 0 });
        self.make(parent, name, NewInode { target: target.to_vec(), ..new }).await
    }

    pub(super) async fn link(&self, ino: Ino, parent: Ino, name: &[u8]) -> FsResult<EntryOut> {
        let name = Name::new(name)?;
        let attributes = self.volume.link(ino, parent, &name).await?;
        self.entry(&attributes, Some((parent, &name)))
    }

    async fn make(&self, parent: Ino, name: &[u8], new: NewInode) -> FsResult<EntryOut> {
        let name = Name::new(name)?;
        let attributes = self.volume.create(parent, &name, new).await?;
        self.entry(&attributes, Some((parent, &name)))
    }
}

/// Owned by who asks; a set-group-id parent's group is the volume's to pass on.
fn new_inode(header: &Header, kind: FileKind, Permissions { mode, umask }: Permissions) -> NewInode {
    let Header { uid, gid, .. } = *header;
    NewInode { kind, mode: permissions(mode), umask: permissions(umask), uid, gid, rdev: 0, target: Vec::new() }
}

pub(super) fn permissions(st_mode: u32) -> u16 {
    (st_mode & 0o7777) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_inode_belongs_to_its_maker_and_keeps_only_permission_bits() {
        let header = Header { opcode: 0, unique: 1, nodeid: 1, uid: 7, gid: 8, pid: 9 };
        let new = new_inode(&header, FileKind::Regular, Permissions { mode: 0o106_755, umask: 0o022 });
        assert_eq!((new.uid, new.gid, new.mode, new.umask, new.rdev), (7, 8, 0o6755, 0o022, 0));
    }
}
