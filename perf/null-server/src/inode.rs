//! One inode: its attributes and its content, in memory.

use shoal_types::{Attributes, Errno, FileKind, FsResult, Timestamp};
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::atomic::AtomicU64;
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{SystemTime, UNIX_EPOCH};

pub struct Inode {
    /// How often the kernel was told of it and has not yet forgotten.
    pub lookups: AtomicU64,
    body: RwLock<Body>,
}

pub struct Body {
    pub attributes: Attributes,
    pub content: Content,
}

pub enum Content {
    File(Vec<u8>),
    Directory(Directory),
    Symlink(Box<[u8]>),
    /// Devices, pipes and sockets.
    Special,
}

pub struct Directory {
    pub parent: u64,
    by_name: HashMap<Box<[u8]>, Entry>,
    by_cookie: BTreeMap<u64, Box<[u8]>>,
    next_cookie: u64,
    /// False once removed: nothing more can be created in it.
    pub alive: bool,
}

#[derive(Clone, Copy)]
pub struct Entry {
    pub ino: u64,
    pub kind: FileKind,
    /// Where a reader that has seen this entry goes on.
    pub cookie: u64,
}

/// Cookies 1 and 2 stand for "." and "..".
const FIRST_COOKIE: u64 = 3;
/// A sparse file has all its bytes in memory here.
const FILE_BYTES_MAX: u64 = 16 << 30;

impl Inode {
    pub fn new(attributes: Attributes, content: Content, lookups: u64) -> Self {
        Inode { lookups: AtomicU64::new(lookups), body: RwLock::new(Body { attributes, content }) }
    }

    pub fn read(&self) -> RwLockReadGuard<'_, Body> {
        self.body.read().expect("no code panics while it holds this lock")
    }

    pub fn write(&self) -> RwLockWriteGuard<'_, Body> {
        self.body.write().expect("no code panics while it holds this lock")
    }
}

impl Body {
    pub fn directory(&self) -> FsResult<&Directory> {
        match &self.content {
            Content::Directory(directory) => Ok(directory),
            _ => Err(Errno::ENOTDIR),
        }
    }

    pub fn directory_mut(&mut self) -> FsResult<&mut Directory> {
        match &mut self.content {
            Content::Directory(directory) => Ok(directory),
            _ => Err(Errno::ENOTDIR),
        }
    }

    pub fn resize(&mut self, length: u64) -> FsResult<()> {
        if length > FILE_BYTES_MAX {
            return Err(Errno::EFBIG);
        }
        let Content::File(bytes) = &mut self.content else { return Err(Errno::EINVAL) };
        bytes.resize(length as usize, 0);
        self.content_changed();
        Ok(())
    }

    pub fn write_at(&mut self, offset: u64, data: &[u8]) -> FsResult<()> {
        let end = offset.checked_add(data.len() as u64).filter(|end| *end <= FILE_BYTES_MAX).ok_or(Errno::EFBIG)?;
        let Content::File(bytes) = &mut self.content else { return Err(Errno::EINVAL) };
        let (start, end) = (offset as usize, end as usize);
        if start == bytes.len() {
            bytes.extend_from_slice(data);
        } else {
            if end > bytes.len() {
                bytes.resize(end, 0);
            }
            bytes[start..end].copy_from_slice(data);
        }
        self.content_changed();
        Ok(())
    }

    fn content_changed(&mut self) {
        if let Content::File(bytes) = &self.content {
            self.attributes.length = bytes.len() as u64;
            self.attributes.allocated = bytes.len() as u64;
        }
        self.attributes.mtime = now();
        self.attributes.ctime = self.attributes.mtime;
    }
}

impl Directory {
    pub fn new(parent: u64) -> Self {
        Directory {
            parent,
            by_name: HashMap::new(),
            by_cookie: BTreeMap::new(),
            next_cookie: FIRST_COOKIE,
            alive: true,
        }
    }

    pub fn get(&self, name: &[u8]) -> Option<Entry> {
        self.by_name.get(name).copied()
    }

    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    pub fn len(&self) -> u64 {
        self.by_name.len() as u64
    }

    /// Adds a name, or makes an existing one mean something else.
    pub fn insert(&mut self, name: &[u8], ino: u64, kind: FileKind) {
        if let Some(entry) = self.by_name.get_mut(name) {
            (entry.ino, entry.kind) = (ino, kind);
            return;
        }
        let cookie = self.next_cookie;
        self.next_cookie += 1;
        self.by_name.insert(name.into(), Entry { ino, kind, cookie });
        self.by_cookie.insert(cookie, name.into());
    }

    pub fn remove(&mut self, name: &[u8]) {
        if let Some(entry) = self.by_name.remove(name) {
            self.by_cookie.remove(&entry.cookie);
        }
    }

    /// Names behind `cookie`, in a fixed order.
    pub fn after(&self, cookie: u64) -> impl Iterator<Item = (&[u8], Entry)> {
        let range = self.by_cookie.range((Bound::Excluded(cookie), Bound::Unbounded));
        range.filter_map(|(_, name)| Some((&**name, self.get(name)?)))
    }
}

pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::new(since.as_secs() as i64, since.subsec_nanos())
}
