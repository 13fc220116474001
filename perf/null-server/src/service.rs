//! Requests answered from memory, each in place: nothing here ever waits.

use crate::inode::{Content, Inode, now};
use crate::tree::{New, Tree};
use shoal_fuse::protocol::abi::fopen;
use shoal_fuse::protocol::{
    DirectoryBuffer, DirectoryPlusBuffer, EntryOut, Header, Operation, SetAttributes, SetTime, Statistics, Validity,
    attr_out, create_out, entry_out, open_out, statfs_out, write_out,
};
use shoal_fuse::{Received, Reply, ReplyBody, Service, open};
use shoal_types::{Errno, FileKind, FsResult, Name, Timestamp};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

pub struct NullService {
    pub tree: Arc<Tree>,
    pub validity: Duration,
}

const OPEN_FLAGS: u32 = fopen::KEEP_CACHE | fopen::NOFLUSH | fopen::PARALLEL_DIRECT_WRITES;
const BLOCK_BYTES: u32 = 4096;
/// Blocks and files reported as free: memory is the true limit.
const PLENTY: u64 = 1 << 28;
const NO_HANDLE: u64 = 0;

impl<R: Reply> Service<R> for NullService {
    async fn dispatch(self: Rc<Self>, received: Received<R>) {
        let Received { message, reply } = received;
        if let Some((request, reply)) = open(&message, reply) {
            self.answer(&request.header, &request.operation, reply);
        }
    }

    fn forget(&self, inode: u64, lookups: u64) {
        self.tree.forget(inode, lookups);
    }
}

impl NullService {
    fn answer<R: Reply>(&self, header: &Header, operation: &Operation<'_>, reply: R) {
        let inode = header.nodeid;
        match *operation {
            Operation::Lookup { name } => send(reply, self.tree.lookup(inode, name).map(|inode| self.entry(&inode))),
            Operation::Getattr { .. } => send(reply, self.attributes(inode)),
            Operation::Setattr(changes) => send(reply, self.set_attributes(inode, &changes)),
            Operation::Readlink => self.read_link(inode, reply),
            Operation::Symlink { name, target } => {
                let new = new(header, FileKind::Symlink.mode_bits() | 0o777, 0);
                let new = new.map(|new| New { target: target.into(), ..new });
                send(reply, self.make(inode, name, new));
            }
            Operation::Mknod { name, mode, rdev, umask } => {
                send(reply, self.make(inode, name, new(header, mode & !umask, rdev)));
            }
            Operation::Mkdir { name, mode, umask } => {
                let mode = FileKind::Directory.mode_bits() | mode & !umask & 0o7777;
                send(reply, self.make(inode, name, new(header, mode, 0)));
            }
            Operation::Create { name, mode, umask, .. } => {
                let entry = self.make(inode, name, new(header, mode & !umask, 0));
                send(reply, entry.map(|entry| create_out(&entry, NO_HANDLE, OPEN_FLAGS)));
            }
            Operation::Unlink { name } => done(reply, self.tree.remove(inode, name, false)),
            Operation::Rmdir { name } => done(reply, self.tree.remove(inode, name, true)),
            Operation::Rename { name, new_parent, new_name, flags } => {
                let renamed =
                    checked(new_name).and_then(|()| self.tree.rename((inode, name), (new_parent, new_name), flags));
                done(reply, renamed);
            }
            Operation::Link { inode: target, new_name } => {
                let linked = checked(new_name).and_then(|()| self.tree.link(target, inode, new_name));
                send(reply, linked.map(|inode| self.entry(&inode)));
            }
            Operation::Open { .. } => send(reply, Ok(open_out(NO_HANDLE, OPEN_FLAGS))),
            Operation::Opendir { .. } => send(reply, Ok(open_out(NO_HANDLE, 0))),
            Operation::Read { offset, size, .. } => self.read(inode, offset, size, reply),
            Operation::Write { offset, data, .. } => send(reply, self.write(inode, offset, data)),
            Operation::Readdir { offset, size, .. } => self.read_directory(inode, offset, size, reply),
            Operation::Readdirplus { offset, size, .. } => self.read_directory_plus(inode, offset, size, reply),
            Operation::Statfs => send(reply, Ok(self.statistics())),
            Operation::Release { .. }
            | Operation::Releasedir { .. }
            | Operation::Fsync { .. }
            | Operation::Fsyncdir { .. } => done(reply, Ok(())),
            // The kernel does without whatever it is told not to be here: extended attributes, flush, locks …
            _ => done(reply, Err(Errno::ENOSYS)),
        }
    }

    fn entry(&self, inode: &Inode) -> EntryOut {
        let body = inode.read();
        let validity = Validity { entry: self.validity, attributes: self.validity };
        entry_out(body.attributes.ino.0, 0, validity, &body.attributes)
    }

    fn attributes(&self, inode: u64) -> FsResult<[u8; 104]> {
        Ok(attr_out(self.validity, &self.tree.get(inode)?.read().attributes))
    }

    fn set_attributes(&self, inode: u64, changes: &SetAttributes) -> FsResult<[u8; 104]> {
        let inode = self.tree.get(inode)?;
        let mut body = inode.write();
        if let Some(size) = changes.size {
            body.resize(size)?;
        }
        let attributes = &mut body.attributes;
        attributes.mode = changes.mode.map_or(attributes.mode, permissions);
        attributes.uid = changes.uid.unwrap_or(attributes.uid);
        attributes.gid = changes.gid.unwrap_or(attributes.gid);
        attributes.ctime = changes.ctime.unwrap_or_else(now);
        attributes.atime = changes.atime.map_or(attributes.atime, instant);
        attributes.mtime = changes.mtime.map_or(attributes.mtime, instant);
        Ok(attr_out(self.validity, attributes))
    }

    fn make(&self, parent: u64, name: &[u8], new: FsResult<New>) -> FsResult<EntryOut> {
        checked(name)?;
        Ok(self.entry(&*self.tree.create(parent, name, new?)?))
    }

    fn read_link<R: Reply>(&self, inode: u64, reply: R) {
        let inode = match self.tree.get(inode) {
            Ok(inode) => inode,
            Err(errno) => return reply.send(Err(errno)),
        };
        match &inode.read().content {
            Content::Symlink(target) => reply.send(Ok(ReplyBody::Bytes(target))),
            _ => reply.send(Err(Errno::EINVAL)),
        };
    }

    /// The reply is written straight from the file's memory.
    fn read<R: Reply>(&self, inode: u64, offset: u64, size: u32, reply: R) {
        let inode = match self.tree.get(inode) {
            Ok(inode) => inode,
            Err(errno) => return reply.send(Err(errno)),
        };
        match &inode.read().content {
            Content::File(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                let end = start.saturating_add(size as usize).min(bytes.len());
                reply.send(Ok(ReplyBody::Bytes(&bytes[start..end])));
            }
            _ => reply.send(Err(Errno::EINVAL)),
        };
    }

    fn write(&self, inode: u64, offset: u64, data: &[u8]) -> FsResult<[u8; 8]> {
        self.tree.get(inode)?.write().write_at(offset, data)?;
        Ok(write_out(data.len() as u32))
    }

    fn read_directory<R: Reply>(&self, inode: u64, offset: u64, size: u32, reply: R) {
        let mut buffer = DirectoryBuffer::new(size);
        let listed = self.list(inode, offset, |ino, cookie, kind, name| buffer.push(ino, cookie, kind, name));
        reply.send(listed.map(|()| ReplyBody::Bytes(buffer.as_bytes())));
    }

    fn read_directory_plus<R: Reply>(&self, inode: u64, offset: u64, size: u32, reply: R) {
        let mut buffer = DirectoryPlusBuffer::new(size);
        let listed = self.list(inode, offset, |ino, cookie, kind, name| {
            if name == b"." || name == b".." {
                return buffer.push(&[0; 128], ino, cookie, kind, name);
            }
            let Ok(child) = self.tree.get(ino) else { return true };
            let fits = buffer.push(&self.entry(&child), ino, cookie, kind, name);
            if fits {
                child.lookups.fetch_add(1, Ordering::Relaxed);
            }
            fits
        });
        reply.send(listed.map(|()| ReplyBody::Bytes(buffer.as_bytes())));
    }

    /// Calls `push` for each entry behind `offset` until it says that there is no more room.
    fn list(&self, ino: u64, offset: u64, mut push: impl FnMut(u64, u64, FileKind, &[u8]) -> bool) -> FsResult<()> {
        let inode = self.tree.get(ino)?;
        let body = inode.read();
        let directory = body.directory()?;
        let dots = [(1, ino, &b"."[..]), (2, directory.parent, b"..")];
        for (cookie, ino, name) in dots.into_iter().filter(|(cookie, ..)| *cookie > offset) {
            if !push(ino, cookie, FileKind::Directory, name) {
                return Ok(());
            }
        }
        for (name, entry) in directory.after(offset.max(2)) {
            if !push(entry.ino, entry.cookie, entry.kind, name) {
                break;
            }
        }
        Ok(())
    }

    fn statistics(&self) -> [u8; 80] {
        let files = self.tree.len();
        statfs_out(&Statistics {
            blocks: PLENTY,
            blocks_free: PLENTY,
            blocks_available: PLENTY,
            files: files + PLENTY,
            files_free: PLENTY,
            block_bytes: BLOCK_BYTES,
            name_bytes_max: Name::BYTES_MAX as u32,
        })
    }
}

fn send<R: Reply, const N: usize>(reply: R, result: FsResult<[u8; N]>) {
    match result {
        Ok(bytes) => reply.send(Ok(ReplyBody::Bytes(&bytes))),
        Err(errno) => reply.send(Err(errno)),
    }
}

fn done<R: Reply>(reply: R, result: FsResult<()>) {
    reply.send(result.map(|()| ReplyBody::Empty));
}

fn checked(name: &[u8]) -> FsResult<()> {
    if name.len() > Name::BYTES_MAX { Err(Errno::ENAMETOOLONG) } else { Ok(()) }
}

fn new(header: &Header, st_mode: u32, rdev: u32) -> FsResult<New> {
    let kind = FileKind::from_mode(st_mode).ok_or(Errno::EINVAL)?;
    let (uid, gid) = (header.uid, header.gid);
    Ok(New { kind, mode: permissions(st_mode), uid, gid, rdev, target: Box::default() })
}

fn permissions(st_mode: u32) -> u16 {
    (st_mode & 0o7777) as u16
}

fn instant(time: SetTime) -> Timestamp {
    match time {
        SetTime::Now => now(),
        SetTime::At(at) => at,
    }
}
