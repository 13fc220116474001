//! The file system behind the protocol: requests in, calls of the shard's [`LocalVolume`] out.
//!
//! One service lives on each shard. It keeps no state about files: node ids are inode numbers, handles are numbers that
//! nobody looks up, and what may be believed for how long is asked of the volume at each reply. It never blocks: what must
//! wait is a task of the shard, and whoever has the bytes of a read or the outcome of a write answers, on whatever thread.
//!
//! Permissions are the kernel's to check (`default_permissions`), by our ACLs where it asks for them, but for callers whose
//! ids are not believed (`squash`). The umask is ours to apply (DONT_MASK), because a default ACL takes its place. Set-id
//! bits and capabilities are ours to take away when the kernel says that somebody writes, truncates or changes the owner
//! who may not keep them (HANDLE_KILLPRIV_V2). The kernel's write-back cache needs nothing from us but that the times it
//! sets are kept.
//!
//! Groups of requests, one a file: `entries`, `attributes`, `xattrs`, `privileges`, `remove`, `files`, `locks`,
//! `read_write`, `ranges`, `directories`, `statfs`, `control`, `clone`, `flags`; `unsupported` tells about the rest.

mod attach;
mod attributes;
mod clone;
mod control;
mod directories;
mod entries;
mod files;
mod flags;
mod identity;
mod kernel_pages;
mod locks;
mod lost;
mod nodes;
mod passthrough;
mod privileges;
mod ranges;
mod read_only;
mod read_write;
mod remove;
mod reopening;
mod squash;
mod statfs;
mod subdirectory;
mod trash;
mod tree_permission;
mod unsupported;
mod waiting;
mod xattrs;

pub use attach::{Serving, Stopper, serve_volume};
pub use squash::{Squash, Squashed};
pub use subdirectory::{resolve, resolve_blocking};

use crate::interrupts::Interrupts;
use crate::notifier::Notifier;
use crate::session::{Service, open};
use crate::transport::{Received, Reply, ReplyBody};
use clone::OfferedSources;
use entries::Permissions;
use kernel_pages::PageForgetter;
use locks::Asker;
use lost::ReplyOfLost;
use nodes::Nodes;
use passthrough::Passthrough;
use read_write::WriteFlags;
use reopening::Reopening;
use shoal_client::LocalVolume;
use shoal_fuse_protocol::{Header, Operation, Request};
use shoal_types::{Errno, FsResult, Ino};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use waiting::Waiting;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ServiceOptions {
    /// The directory that is shown as the root of the mount; see [`resolve`].
    pub root: Ino,
    /// Refuse every change. The mount should be read-only for the kernel too.
    pub read_only: bool,
    /// The kernel keeps writes to itself for a while, so that we don't know what a file holds.
    pub writeback_cache: bool,
    /// Whose ids are not believed.
    pub squash: Squash,
    /// Extended attributes are served; otherwise the kernel is told never to ask for any.
    pub xattr: bool,
    /// Access control lists are shown and set; the kernel then checks permissions by them.
    pub posix_acl: bool,
    /// Listing a directory may set its access time.
    pub directory_access_times: bool,
}

impl Default for ServiceOptions {
    fn default() -> Self {
        ServiceOptions {
            root: Ino::ROOT,
            read_only: false,
            writeback_cache: false,
            squash: Squash::default(),
            xattr: true,
            posix_acl: true,
            directory_access_times: true,
        }
    }
}

/// One shard's service.
pub struct VolumeService {
    volume: Rc<LocalVolume>,
    nodes: Nodes,
    read_only: bool,
    writeback_cache: bool,
    squash: Squash,
    xattr: bool,
    posix_acl: bool,
    directory_access_times: bool,
    waiting: Rc<Waiting>,
    kernel_pages: Arc<PageForgetter>,
    offered_sources: Arc<OfferedSources>,
    reopening: Arc<Reopening>,
    interrupts: Arc<Interrupts>,
    /// The next one; those of different shards never meet.
    handles: Cell<u64>,
    notifier: Notifier,
    passthrough: Option<Arc<Passthrough>>,
}

/// What all shards of a mount have in common.
#[derive(Clone)]
struct SharedByShards {
    /// `serve` gets the same.
    interrupts: Arc<Interrupts>,
    kernel_pages: Arc<PageForgetter>,
    offered_sources: Arc<OfferedSources>,
    reopening: Arc<Reopening>,
}

impl VolumeService {
    fn new(
        volume: Rc<LocalVolume>,
        options: ServiceOptions,
        shared: SharedByShards,
        notifier: Notifier,
        passthrough: Option<Arc<Passthrough>>,
    ) -> Rc<Self> {
        let SharedByShards { interrupts, kernel_pages, offered_sources, reopening } = shared;
        let ServiceOptions { root, read_only, writeback_cache, squash, xattr, posix_acl, directory_access_times } =
            options;
        // 0 is what directories have.
        let handles = Cell::new((volume.count() + volume.index()) as u64);
        Rc::new(VolumeService {
            volume,
            nodes: Nodes { root },
            read_only,
            writeback_cache,
            squash,
            xattr,
            posix_acl,
            directory_access_times: directory_access_times && !read_only,
            waiting: Waiting::new(interrupts.clone()),
            kernel_pages,
            offered_sources,
            reopening,
            interrupts,
            handles,
            notifier,
            passthrough,
        })
    }

    async fn answer<R: Reply>(&self, header: &Header, operation: &Operation<'_>, reply: R) {
        let ino = self.nodes.ino(header.nodeid);
        match *operation {
            Operation::Lookup { name } => send(reply, self.lookup(header, ino, name).await),
            Operation::Create { name, flags, mode, umask, .. } => {
                send(reply, self.create(header, ino, name, flags, Permissions { mode, umask }).await);
            }
            Operation::Mknod { name, mode, rdev, umask } => {
                send(reply, self.mknod(header, ino, name, Permissions { mode, umask }, rdev).await);
            }
            Operation::Mkdir { name, mode, umask } => {
                send(reply, self.mkdir(header, ino, name, Permissions { mode, umask }).await);
            }
            Operation::Tmpfile { mode, umask, .. } => {
                send(reply, self.tmpfile(header, ino, Permissions { mode, umask }).await);
            }
            Operation::Symlink { name, target } => send(reply, self.symlink(header, ino, name, target).await),
            Operation::Link { inode, new_name } => {
                send(reply, self.link(self.nodes.ino(inode), ino, new_name).await);
            }
            Operation::Getattr { .. } => send(reply, self.getattr(ino).await),
            Operation::Statx { .. } => send(reply, self.statx(ino).await),
            Operation::Setattr(ref changes) => send(reply, self.setattr(header, ino, changes).await),
            Operation::Readlink => self.readlink(ino, reply).await,
            Operation::Unlink { name } => done(reply, self.unlink(ino, name).await),
            Operation::Rmdir { name } => done(reply, self.rmdir(ino, name).await),
            Operation::Rename { name, new_parent, new_name, flags } => {
                let to = (self.nodes.ino(new_parent), new_name);
                done(reply, self.rename(header, (ino, name), to, flags).await);
            }
            Operation::Open { flags } => send(reply, self.open(header, ino, flags).await),
            Operation::Opendir { .. } => send(reply, self.opendir(header, ino).await),
            Operation::Release { handle, .. } | Operation::Releasedir { handle, .. } => {
                self.release(ino, handle, reply).await;
            }
            Operation::Flush { lock_owner, .. } => self.flush(ino, lock_owner, reply).await,
            Operation::Fsync { .. } => self.fsync(ino, reply).await,
            Operation::Fsyncdir { .. } => done(reply, self.volume.sync_metadata().await),
            Operation::Read { offset, size, flags, .. } => {
                self.read(header.unique, ino, offset, size, flags, reply).await;
            }
            Operation::Readdir { offset, size, .. } => self.readdir(header, ino, offset, size, reply).await,
            Operation::Readdirplus { offset, size, .. } => self.readdirplus(header, ino, offset, size, reply).await,
            Operation::Ioctl { command, input, .. } => self.ioctl(header, ino, command, input, reply).await,
            Operation::Fallocate { offset, length, mode, .. } => {
                done(reply, self.fallocate(header, ino, offset, length, mode).await);
            }
            Operation::CopyFileRange { offset, target_inode, target_offset, length, flags, wide, .. } => {
                let (from, to) = ((ino, offset), (self.nodes.ino(target_inode), target_offset));
                send(reply, self.copy_file_range(header, from, to, length, flags, wide).await);
            }
            Operation::Lseek { offset, whence, .. } => send(reply, self.lseek(ino, offset, whence).await),
            Operation::Syncfs => done(reply, self.volume.sync_volume().await),
            Operation::Getxattr { .. }
            | Operation::Listxattr { .. }
            | Operation::Setxattr { .. }
            | Operation::Removexattr { .. }
                if !self.xattr =>
            {
                reply.send(Err(Errno::ENOSYS));
            }
            Operation::Getxattr { name, size } => self.getxattr(ino, name, size, reply).await,
            Operation::Listxattr { size } => self.listxattr(header, ino, size, reply).await,
            Operation::Setxattr { name, value, flags, kill_sgid } => {
                done(reply, self.setxattr(ino, name, value, flags, kill_sgid).await);
            }
            Operation::Removexattr { name } => done(reply, self.removexattr(ino, name).await),
            // It has been permitted. Without squashing, ENOSYS tells the kernel to decide by itself.
            Operation::Access { .. } if self.squash.is_on() => done(reply, Ok(())),
            Operation::Statfs => send(reply, self.statfs(ino).await),
            Operation::Getlk { handle, owner, lock, flock } => {
                send(reply, self.getlk(ino, Asker { handle, owner }, lock, flock).await);
            }
            Operation::Setlk { handle, owner, lock, flock, wait } => {
                let asker = Asker { handle, owner };
                done(
                    reply,
                    match wait {
                        true => self.setlkw(header, ino, asker, lock, flock).await,
                        false => self.setlk(ino, asker, lock, flock).await,
                    },
                );
            }
            _ => reply.send(Err(unsupported::ANSWER)),
        }
    }
}

impl<R: Reply> Service<R> for VolumeService {
    async fn dispatch(self: Rc<Self>, received: Received<R>) {
        let Received { message, reply } = received;
        let Some((Request { header, mut operation }, reply)) = open(&message, reply) else { return };
        let reply = ReplyOfLost::new(reply, &operation);
        if self.read_only && read_only::changes_something(&operation) {
            return reply.send(Err(Errno::EROFS));
        }
        let header = identity::identified(header, self.nodes.ino(header.nodeid), &operation);
        let (header, checked) = self.squash.caller(header);
        if checked {
            squash::drop_privileges_with(&mut operation);
            if let Err(errno) = self.permit(&header, &operation).await {
                return reply.send(Err(errno));
            }
        }
        match operation {
            // Apart from the others because it takes the message along.
            Operation::Write { offset, data, write_flags, flags, .. } => {
                let (ino, length) = (self.nodes.ino(header.nodeid), data.len());
                let flags = WriteFlags::new(&header, write_flags, flags);
                if let Err(errno) = self.drop_for_write(&header, ino, flags).await {
                    return reply.send(Err(errno));
                }
                self.write(ino, offset, message.into_write_data(length), flags, reply).await;
            }
            operation => self.answer(&header, &operation, reply).await,
        }
    }

    fn forget(&self, node: u64, lookups: u64) {
        self.volume.forget(self.nodes.ino(node), lookups);
    }

    /// Whatever is still buffered is flushed by the owner of the volume when it stops it.
    fn destroy(&self) {}
}

const SUPERUSER: u32 = 0;

fn send<R: Reply, const N: usize>(reply: R, result: FsResult<[u8; N]>) {
    match result {
        Ok(bytes) => reply.send(Ok(ReplyBody::Bytes(&bytes))),
        Err(errno) => reply.send(Err(errno)),
    }
}

fn done<R: Reply>(reply: R, result: FsResult<()>) {
    reply.send(result.map(|()| ReplyBody::Empty));
}
