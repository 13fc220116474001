//! The tree of inodes, shared by all shards.
//!
//! Inodes stand in a map of many parts, each with its own lock, and each inode has a lock of its own. Only what removes
//! or moves names locks more than one inode, and then holds the tree's lock first, so that there is one order. Locks of
//! map parts are innermost. Permissions are the kernel's to check.

use crate::inode::{Content, Directory, Entry, Inode, now};
use shoal_types::{Attributes, Errno, FileKind, FsResult, Ino, InodeFlags};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

pub struct Tree {
    parts: [RwLock<HashMap<u64, Arc<Inode>>>; PARTS],
    next_ino: AtomicU64,
    moving: Mutex<()>,
}

/// What a new inode is to be; set-group-id of its parent is applied to it.
pub struct New {
    pub kind: FileKind,
    pub mode: u16,
    pub uid: u32,
    pub gid: u32,
    pub rdev: u32,
    pub target: Box<[u8]>,
}

const PARTS: usize = 64;
const RENAME_NOREPLACE: u32 = 1;
const RENAME_EXCHANGE: u32 = 2;
const SET_GROUP_ID: u16 = 0o2000;
const UNPOISONED: &str = "no code panics while it holds this lock";

impl Tree {
    pub fn new(uid: u32, gid: u32) -> Self {
        let tree = Tree {
            parts: std::array::from_fn(|_| RwLock::default()),
            next_ino: AtomicU64::new(Ino::ROOT.0 + 1),
            moving: Mutex::new(()),
        };
        let root = New { kind: FileKind::Directory, mode: 0o755, uid, gid, rdev: 0, target: Box::default() };
        // The kernel knows the root without having asked, and never forgets it.
        let root = Inode::new(attributes(Ino::ROOT.0, &root), Content::Directory(Directory::new(Ino::ROOT.0)), 1);
        tree.insert(Ino::ROOT.0, Arc::new(root));
        tree
    }

    pub fn get(&self, ino: u64) -> FsResult<Arc<Inode>> {
        self.part(ino).read().expect(UNPOISONED).get(&ino).cloned().ok_or(Errno::ESTALE)
    }

    pub fn len(&self) -> u64 {
        self.parts.iter().map(|part| part.read().expect(UNPOISONED).len() as u64).sum()
    }

    /// The inode of a name; counted as one lookup.
    pub fn lookup(&self, parent: u64, name: &[u8]) -> FsResult<Arc<Inode>> {
        let parent = self.get(parent)?;
        let parent = parent.read();
        let entry = parent.directory()?.get(name).ok_or(Errno::ENOENT)?;
        // Still under the parent's lock, so that the name can't be removed and forgotten in between.
        let inode = self.get(entry.ino)?;
        inode.lookups.fetch_add(1, Ordering::Relaxed);
        Ok(inode)
    }

    /// Makes a name with a new inode; counted as one lookup.
    pub fn create(&self, parent: u64, name: &[u8], new: New) -> FsResult<Arc<Inode>> {
        let parent_ino = parent;
        let parent = self.get(parent)?;
        let mut parent = parent.write();
        let new = inherit(new, &parent.attributes);
        let directory = parent.directory_mut()?;
        if !directory.alive {
            return Err(Errno::ENOENT);
        }
        if directory.get(name).is_some() {
            return Err(Errno::EEXIST);
        }
        let ino = self.next_ino.fetch_add(1, Ordering::Relaxed);
        let attributes = attributes(ino, &new);
        let content = match new.kind {
            FileKind::Regular => Content::File(Vec::new()),
            FileKind::Directory => Content::Directory(Directory::new(parent_ino)),
            FileKind::Symlink => Content::Symlink(new.target),
            _ => Content::Special,
        };
        directory.insert(name, ino, new.kind);
        touch(&mut parent, if new.kind == FileKind::Directory { 1 } else { 0 });
        let inode = Arc::new(Inode::new(attributes, content, 1));
        self.insert(ino, inode.clone());
        Ok(inode)
    }

    /// Gives an inode one more name; counted as one lookup.
    pub fn link(&self, ino: u64, parent: u64, name: &[u8]) -> FsResult<Arc<Inode>> {
        let _moving = self.moving.lock().expect(UNPOISONED);
        let (inode, parent) = (self.get(ino)?, self.get(parent)?);
        let mut parent = parent.write();
        let directory = parent.directory_mut()?;
        if !directory.alive {
            return Err(Errno::ENOENT);
        }
        if directory.get(name).is_some() {
            return Err(Errno::EEXIST);
        }
        let mut body = inode.write();
        if body.attributes.nlink == 0 {
            return Err(Errno::ENOENT);
        }
        body.attributes.nlink += 1;
        body.attributes.ctime = now();
        directory.insert(name, ino, body.attributes.kind);
        touch(&mut parent, 0);
        drop(body);
        inode.lookups.fetch_add(1, Ordering::Relaxed);
        Ok(inode)
    }

    pub fn remove(&self, parent: u64, name: &[u8], directory: bool) -> FsResult<()> {
        let _moving = self.moving.lock().expect(UNPOISONED);
        let parent = self.get(parent)?;
        let mut parent = parent.write();
        let entry = parent.directory()?.get(name).ok_or(Errno::ENOENT)?;
        match (entry.kind == FileKind::Directory, directory) {
            (true, false) => return Err(Errno::EISDIR),
            (false, true) => return Err(Errno::ENOTDIR),
            _ => {}
        }
        self.drop_name(entry)?;
        parent.directory_mut()?.remove(name);
        touch(&mut parent, if directory { -1 } else { 0 });
        Ok(())
    }

    pub fn rename(&self, from: (u64, &[u8]), to: (u64, &[u8]), flags: u32) -> FsResult<()> {
        if flags & !(RENAME_NOREPLACE | RENAME_EXCHANGE) != 0 {
            return Err(Errno::EINVAL);
        }
        let _moving = self.moving.lock().expect(UNPOISONED);
        let source = self.entry(from)?.ok_or(Errno::ENOENT)?;
        let target = self.entry(to)?;
        match target {
            Some(target) if flags & RENAME_EXCHANGE != 0 => {
                self.place(from, to.0, target)?;
                self.place(to, from.0, source)
            }
            None if flags & RENAME_EXCHANGE != 0 => Err(Errno::ENOENT),
            Some(_) if flags & RENAME_NOREPLACE != 0 => Err(Errno::EEXIST),
            Some(target) if target.ino == source.ino => Ok(()),
            Some(target) => {
                match (source.kind == FileKind::Directory, target.kind == FileKind::Directory) {
                    (true, false) => return Err(Errno::ENOTDIR),
                    (false, true) => return Err(Errno::EISDIR),
                    _ => {}
                }
                self.drop_name(target)?;
                self.unplace(to, target)?;
                self.place(to, from.0, source)?;
                self.unplace(from, source)
            }
            None => {
                self.place(to, from.0, source)?;
                self.unplace(from, source)
            }
        }
    }

    pub fn forget(&self, ino: u64, lookups: u64) {
        let Ok(inode) = self.get(ino) else { return };
        if inode.lookups.fetch_sub(lookups, Ordering::AcqRel) == lookups {
            self.reclaim(ino, &inode);
        }
    }

    fn entry(&self, (parent, name): (u64, &[u8])) -> FsResult<Option<Entry>> {
        let parent = self.get(parent)?;
        let parent = parent.read();
        Ok(parent.directory()?.get(name))
    }

    /// Under the tree's lock: `name` now means what `entry` means, which was known under `old_parent`.
    fn place(&self, (parent_ino, name): (u64, &[u8]), old_parent: u64, entry: Entry) -> FsResult<()> {
        let parent = self.get(parent_ino)?;
        let mut parent = parent.write();
        let directory = parent.directory_mut()?;
        if !directory.alive {
            return Err(Errno::ENOENT);
        }
        let replaced = directory.get(name).map_or(0, |entry| subdirectories(&entry));
        directory.insert(name, entry.ino, entry.kind);
        touch(&mut parent, subdirectories(&entry) - replaced);
        drop(parent);
        let inode = self.get(entry.ino)?;
        let mut body = inode.write();
        body.attributes.ctime = now();
        if parent_ino != old_parent && entry.kind == FileKind::Directory {
            body.directory_mut()?.parent = parent_ino;
        }
        Ok(())
    }

    fn unplace(&self, (parent, name): (u64, &[u8]), entry: Entry) -> FsResult<()> {
        let parent = self.get(parent)?;
        let mut parent = parent.write();
        parent.directory_mut()?.remove(name);
        touch(&mut parent, -subdirectories(&entry));
        Ok(())
    }

    /// The inode loses one name; a directory must be empty.
    fn drop_name(&self, entry: Entry) -> FsResult<()> {
        let inode = self.get(entry.ino)?;
        let mut body = inode.write();
        if let Content::Directory(directory) = &mut body.content {
            if !directory.is_empty() {
                return Err(Errno::ENOTEMPTY);
            }
            directory.alive = false;
            body.attributes.nlink = 0;
        } else {
            body.attributes.nlink -= 1;
        }
        body.attributes.ctime = now();
        drop(body);
        self.reclaim(entry.ino, &inode);
        Ok(())
    }

    /// Drops an inode that has neither a name nor a place in the kernel's memory. Without a name no lookup can find it,
    /// so that the count, once zero, stays zero.
    fn reclaim(&self, ino: u64, inode: &Inode) {
        if inode.read().attributes.nlink == 0 && inode.lookups.load(Ordering::Acquire) == 0 {
            self.part(ino).write().expect(UNPOISONED).remove(&ino);
        }
    }

    fn insert(&self, ino: u64, inode: Arc<Inode>) {
        self.part(ino).write().expect(UNPOISONED).insert(ino, inode);
    }

    fn part(&self, ino: u64) -> &RwLock<HashMap<u64, Arc<Inode>>> {
        &self.parts[ino as usize % PARTS]
    }
}

fn subdirectories(entry: &Entry) -> i32 {
    i32::from(entry.kind == FileKind::Directory)
}

/// A directory whose names have changed, and its count of subdirectories by so many.
fn touch(body: &mut crate::inode::Body, subdirectories: i32) {
    body.attributes.nlink = body.attributes.nlink.saturating_add_signed(subdirectories);
    body.attributes.length = body.directory().map_or(0, Directory::len);
    body.attributes.mtime = now();
    body.attributes.ctime = body.attributes.mtime;
}

fn inherit(mut new: New, parent: &Attributes) -> New {
    if parent.mode & SET_GROUP_ID != 0 {
        new.gid = parent.gid;
        if new.kind == FileKind::Directory {
            new.mode |= SET_GROUP_ID;
        }
    }
    new
}

fn attributes(ino: u64, new: &New) -> Attributes {
    let time = now();
    Attributes {
        ino: Ino(ino),
        kind: new.kind,
        flags: InodeFlags::default(),
        mode: new.mode,
        uid: new.uid,
        gid: new.gid,
        rdev: new.rdev,
        nlink: if new.kind == FileKind::Directory { 2 } else { 1 },
        length: new.target.len() as u64,
        allocated: 0,
        atime: time,
        mtime: time,
        ctime: time,
        btime: time,
    }
}
