//! Callers who are not believed to be who they say: the superuser (`root_squash`) or everybody (`all_squash`) acts as an
//! anonymous user, as on an NFS export.
//!
//! The kernel can't check permissions for them: it would let the superuser do everything. So what they ask for is checked
//! here, by owner, group, others and the sticky bit, with no privileges at all. A mount that squashes gives the kernel no
//! time-outs for names, so that each step of a path comes here, with whoever takes it.

use super::VolumeService;
use super::read_only::wants_to_write;
use rustix::fs::{Access, OFlags};
use shoal_fuse_protocol::{Header, Operation, SetAttributes, SetTime, abi};
use shoal_types::{Attributes, Errno, FileKind, FsResult, Ino, Name};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Squash {
    pub whom: Squashed,
    pub uid: u32,
    pub gid: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Squashed {
    #[default]
    Nobody,
    /// User and group 0.
    Root,
    Everybody,
}

impl Squash {
    pub fn is_on(&self) -> bool {
        self.whom != Squashed::Nobody
    }

    /// Whether the kernel may check permissions by the ids it knows.
    pub fn kernel_may_check(&self) -> bool {
        self.whom != Squashed::Everybody
    }

    /// The caller as it's treated, and whether what it asks for has to be checked here.
    pub(super) fn caller(&self, header: Header) -> (Header, bool) {
        match self.whom {
            Squashed::Everybody => (Header { uid: self.uid, gid: self.gid, ..header }, true),
            Squashed::Root if header.uid == 0 => (Header { uid: self.uid, gid: self.gid, ..header }, true),
            Squashed::Root if header.gid == 0 => (Header { gid: self.gid, ..header }, false),
            Squashed::Root | Squashed::Nobody => (header, false),
        }
    }
}

/// Somebody without privileges asks for this, whom the kernel takes for the superuser: it may not keep set-id bits and the
/// capability of what it changes.
pub(super) fn drop_privileges_with(operation: &mut Operation<'_>) {
    match operation {
        Operation::Write { write_flags, .. } => *write_flags |= abi::WRITE_KILL_SUIDGID,
        Operation::Setattr(changes) => {
            changes.kill_suidgid |= changes.size.is_some() || changes.uid.is_some() || changes.gid.is_some();
        }
        Operation::Setxattr { kill_sgid, .. } => *kill_sgid = true,
        _ => {}
    }
}

impl VolumeService {
    /// Whether the caller, who has no privileges, may do this. Reads and writes need no look: opening was allowed.
    pub(super) async fn permit(&self, caller: &Header, operation: &Operation<'_>) -> FsResult<()> {
        let ino = self.nodes.ino(caller.nodeid);
        match *operation {
            Operation::Lookup { .. } => self.need(caller, ino, Access::EXEC_OK).await,
            Operation::Access { mask } => self.need(caller, ino, Access::from_bits_truncate(mask)).await,
            Operation::Create { .. }
            | Operation::Tmpfile { .. }
            | Operation::Mknod { .. }
            | Operation::Mkdir { .. }
            | Operation::Symlink { .. }
            | Operation::Link { .. } => self.need(caller, ino, Access::WRITE_OK | Access::EXEC_OK).await,
            Operation::Unlink { name } | Operation::Rmdir { name } => self.may_take(caller, ino, name).await.map(drop),
            Operation::Rename { name, new_parent, new_name, .. } => {
                self.may_rename(caller, (ino, name), (self.nodes.ino(new_parent), new_name)).await
            }
            Operation::Open { flags } => self.need(caller, ino, wanted_by_open(flags)).await,
            Operation::Opendir { .. } => self.need(caller, ino, Access::READ_OK).await,
            Operation::Setattr(ref changes) => self.may_set(caller, ino, changes).await,
            Operation::Getxattr { name, .. } => self.may_use_xattr(caller, ino, name, Access::READ_OK).await,
            Operation::Setxattr { name, .. } | Operation::Removexattr { name } => {
                self.may_use_xattr(caller, ino, name, Access::WRITE_OK).await
            }
            _ => Ok(()),
        }
    }

    async fn need(&self, caller: &Header, ino: Ino, wanted: Access) -> FsResult<()> {
        match allows(&self.volume.get_attributes(ino).await?, caller, wanted) {
            true => Ok(()),
            false => Err(Errno::EACCES),
        }
    }

    /// A name may be taken out of its directory; tells what it stands for. In a sticky directory only by who owns either.
    async fn may_take(&self, caller: &Header, parent: Ino, name: &[u8]) -> FsResult<Attributes> {
        self.need(caller, parent, Access::WRITE_OK | Access::EXEC_OK).await?;
        let found = self.volume.lookup(parent, &Name::new(name)?).await?;
        let directory = self.volume.get_attributes(parent).await?;
        let owns = caller.uid == found.uid || caller.uid == directory.uid;
        match directory.mode & STICKY != 0 && !owns {
            true => Err(Errno::EPERM),
            false => Ok(found),
        }
    }

    async fn may_rename(&self, caller: &Header, from: (Ino, &[u8]), to: (Ino, &[u8])) -> FsResult<()> {
        let moved = self.may_take(caller, from.0, from.1).await?;
        self.need(caller, to.0, Access::WRITE_OK | Access::EXEC_OK).await?;
        match self.may_take(caller, to.0, to.1).await {
            Ok(_) | Err(Errno::ENOENT) => {}
            Err(errno) => return Err(errno),
        }
        // Its ".." changes.
        match moved.kind == FileKind::Directory && from.0 != to.0 {
            true => self.need(caller, moved.ino, Access::WRITE_OK).await,
            false => Ok(()),
        }
    }

    async fn may_set(&self, caller: &Header, ino: Ino, changes: &SetAttributes) -> FsResult<()> {
        let attributes = self.volume.get_attributes(ino).await?;
        let owner = caller.uid == attributes.uid;
        let writer = allows(&attributes, caller, Access::WRITE_OK);
        let foreign_group = |gid| gid != attributes.gid && gid != caller.gid;
        let given = |time: Option<SetTime>| matches!(time, Some(SetTime::At(_)));
        let now = |time: Option<SetTime>| matches!(time, Some(SetTime::Now));
        let reserved = changes.uid.is_some_and(|uid| uid != attributes.uid)
            || changes.gid.is_some_and(foreign_group)
            || (!owner && (changes.mode.is_some() || changes.uid.is_some() || changes.gid.is_some()));
        if reserved || (!owner && (given(changes.atime) || given(changes.mtime)) && changes.size.is_none()) {
            return Err(Errno::EPERM);
        }
        // Through a handle it was opened for writing before.
        let truncates = changes.size.is_some() && changes.handle.is_none();
        match !writer && (truncates || (!owner && (now(changes.atime) || now(changes.mtime)))) {
            true => Err(Errno::EACCES),
            false => Ok(()),
        }
    }

    async fn may_use_xattr(&self, caller: &Header, ino: Ino, name: &[u8], wanted: Access) -> FsResult<()> {
        if name.starts_with(b"user.") {
            return self.need(caller, ino, wanted).await;
        }
        let acl = name.starts_with(b"system.");
        let reads = wanted == Access::READ_OK;
        let owner = self.volume.get_attributes(ino).await?.uid == caller.uid;
        match (acl && (reads || owner)) || (name.starts_with(b"security.") && reads) {
            true => Ok(()),
            false => Err(Errno::EPERM),
        }
    }
}

/// By the mode alone: the first class that fits decides.
fn allows(attributes: &Attributes, caller: &Header, wanted: Access) -> bool {
    let mode = attributes.mode;
    let granted = if caller.uid == attributes.uid {
        mode >> 6
    } else if caller.gid == attributes.gid {
        mode >> 3
    } else {
        mode
    };
    wanted.bits() & !u32::from(granted & 0o7) == 0
}

/// A program that is to be run is opened to be executed, which needs no permission to read.
fn wanted_by_open(flags: u32) -> Access {
    if flags & FMODE_EXEC != 0 {
        return Access::EXEC_OK;
    }
    let write = if wants_to_write(flags) { Access::WRITE_OK } else { Access::empty() };
    match OFlags::from_bits_retain(flags) & OFlags::ACCMODE == OFlags::WRONLY {
        true => write,
        false => write | Access::READ_OK,
    }
}

const STICKY: u16 = 0o1000;
/// Among the flags of OPEN: execve(2) asks.
const FMODE_EXEC: u32 = 0x20;

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_types::{InodeFlags, Timestamp};

    fn header(uid: u32, gid: u32) -> Header {
        Header { opcode: 0, unique: 1, nodeid: 1, uid, gid, pid: 9 }
    }

    fn attributes(mode: u16) -> Attributes {
        let now = Timestamp::ZERO;
        Attributes {
            ino: Ino(7),
            kind: FileKind::Regular,
            flags: InodeFlags::default(),
            mode,
            uid: 1,
            gid: 2,
            rdev: 0,
            nlink: 1,
            length: 0,
            allocated: 0,
            atime: now,
            mtime: now,
            ctime: now,
            btime: now,
        }
    }

    #[test]
    fn who_is_squashed_becomes_the_anonymous_user() {
        let squash = |whom| Squash { whom, uid: 65_534, gid: 65_533 };
        let ids = |whom, uid, gid| {
            let (header, checked) = squash(whom).caller(header(uid, gid));
            (header.uid, header.gid, checked)
        };
        assert_eq!(ids(Squashed::Nobody, 0, 0), (0, 0, false));
        assert_eq!(ids(Squashed::Root, 0, 5), (65_534, 65_533, true));
        assert_eq!(ids(Squashed::Root, 7, 0), (7, 65_533, false));
        assert_eq!(ids(Squashed::Root, 7, 8), (7, 8, false));
        assert_eq!(ids(Squashed::Everybody, 7, 8), (65_534, 65_533, true));
    }

    #[test]
    fn who_is_not_believed_takes_set_id_bits_away_with_what_it_changes() {
        let set = |changes: SetAttributes| {
            let mut operation = Operation::Setattr(changes);
            drop_privileges_with(&mut operation);
            matches!(operation, Operation::Setattr(SetAttributes { kill_suidgid: true, .. }))
        };
        assert!(set(SetAttributes { size: Some(0), ..SetAttributes::default() }));
        assert!(set(SetAttributes { gid: Some(7), ..SetAttributes::default() }));
        assert!(!set(SetAttributes { mode: Some(0o4755), ..SetAttributes::default() }));
    }

    #[test]
    fn the_first_class_that_fits_decides() {
        let allowed = |mode, uid, gid, wanted| allows(&attributes(mode), &header(uid, gid), wanted);
        assert!(allowed(0o400, 1, 9, Access::READ_OK) && !allowed(0o400, 9, 9, Access::READ_OK));
        assert!(!allowed(0o077, 1, 2, Access::READ_OK), "the owner does not fall back to the group");
        assert!(!allowed(0o607, 9, 2, Access::READ_OK), "the group does not fall back to others");
        assert!(allowed(0o005, 9, 9, Access::READ_OK | Access::EXEC_OK));
        assert!(!allowed(0o005, 9, 9, Access::READ_OK | Access::WRITE_OK));
        assert!(allowed(0, 9, 9, Access::empty()), "whether it exists may be asked");
    }

    #[test]
    fn an_open_needs_what_it_asks_for() {
        assert_eq!(wanted_by_open(OFlags::RDONLY.bits()), Access::READ_OK);
        assert_eq!(wanted_by_open(OFlags::WRONLY.bits()), Access::WRITE_OK);
        assert_eq!(wanted_by_open(OFlags::RDWR.bits()), Access::READ_OK | Access::WRITE_OK);
        assert_eq!(wanted_by_open(FMODE_EXEC), Access::EXEC_OK);
    }
}
