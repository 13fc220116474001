//! One inode's records against each other: its kind, counts, lengths.

use super::totals::Totals;
use super::tree::{Summary, Tree};
use super::{Problem, Report};
use crate::inode::Inode;
use crate::keys::{self, Key};
use crate::ops::slice_list;
use crate::records::{
    BEGUN, Dirent, Identity, LockRecord, WaiterRecord, XattrIndex, decode_content, decode_origin, decode_queued,
    decode_slices,
};
use shoal_kv::KvResult;
use shoal_types::{CHUNK_BYTES, FileKind, Ino, InodeFlags, Name, Slice, XattrName};

/// What has been seen of an inode while its keys pass by: the identity first, if there is one.
pub(super) struct InodeCheck {
    ino: Ino,
    inode: Option<Inode>,
    inline: Option<u64>,
    target: Option<u64>,
    has_chunks: bool,
    /// Bytes of inline data and slices.
    allocated: i64,
    /// A list shows data beyond the length.
    beyond: bool,
    entries: i64,
    subdirectories: i64,
    /// What the index of extended attributes tells, less those that have been seen.
    xattrs_missing: XattrIndex,
    xattr_flags: InodeFlags,
    queued: Option<u64>,
    /// It notes where it was removed from.
    origin: bool,
    /// Some record can't be read, so the counts above tell nothing.
    incomplete: bool,
    identity_unreadable: bool,
}

impl InodeCheck {
    pub fn new(ino: Ino) -> Self {
        InodeCheck {
            ino,
            inode: None,
            inline: None,
            target: None,
            has_chunks: false,
            allocated: 0,
            beyond: false,
            entries: 0,
            subdirectories: 0,
            xattrs_missing: XattrIndex::default(),
            xattr_flags: InodeFlags::default(),
            queued: None,
            origin: false,
            incomplete: false,
            identity_unreadable: false,
        }
    }

    pub fn ino(&self) -> Ino {
        self.ino
    }

    pub fn record(
        &mut self,
        key: &Key,
        value: &[u8],
        tree: &mut Tree,
        totals: &mut Totals,
        report: &mut Report,
    ) -> KvResult<()> {
        match key {
            Key::Identity(ino) => self.inode = Some(Inode::new(*ino, Identity::decode(value)?)),
            Key::Accumulator(_, field) => {
                if let Some(inode) = &mut self.inode {
                    inode.set(*field, value)?;
                }
            }
            Key::Inline(_) => {
                let bytes = decode_content(value.to_vec())?.len();
                self.inline = Some(bytes as u64);
                self.allocated += bytes as i64;
            }
            Key::Target(_) => self.target = Some(decode_content(value.to_vec())?.len() as u64),
            Key::Chunk(_, chunk) => {
                let list = decode_slices(value)?;
                self.list(*chunk, &list);
                totals.refer(&list);
            }
            Key::Dirent(parent, cookie, name) => self.entry(*parent, *cookie, name, value, tree, report)?,
            Key::Lock(_, space, session, owner) => {
                totals.locks.insert((*session, self.ino, *space, *owner));
                LockRecord::decode(value)?;
            }
            Key::Waiter(_, session, number) => {
                totals.waiters.insert((*session, self.ino, *number));
                WaiterRecord::decode(value)?;
            }
            Key::XattrIndex(_) => {
                self.xattrs_missing = XattrIndex::decode(value)?;
                self.xattr_flags = self.xattrs_missing.flags(InodeFlags::default());
            }
            Key::Xattr(ino, name) => self.xattr(*ino, name, value, report)?,
            Key::Queued(_) => self.queued = Some(decode_queued(value)?).filter(|time| *time != BEGUN),
            Key::Origin(_) => {
                self.origin = true;
                decode_origin(value)?;
            }
            _ => unreachable!("this is no key of an inode"),
        }
        Ok(())
    }

    /// A record of this inode could not be decoded; that has been reported and shall not be reported again in the form of
    /// everything that follows from it.
    pub fn unreadable(&mut self, key: &Key, tree: &mut Tree, totals: &mut Totals) {
        self.incomplete = true;
        match key {
            Key::Identity(_) => self.identity_unreadable = true,
            Key::Dirent(..) => tree.names_incomplete = true,
            Key::Chunk(..) => totals.lists_incomplete = true,
            Key::Accumulator(..) => totals.allocated_incomplete = true,
            _ => {}
        }
    }

    fn list(&mut self, chunk: u64, list: &[Slice]) {
        self.has_chunks = true;
        self.allocated += slice_list::allocated(list);
        let length = self.inode.as_ref().map_or(u64::MAX, |inode| inode.length);
        let end = length.saturating_sub(chunk * CHUNK_BYTES);
        if end < CHUNK_BYTES {
            self.beyond |= slice_list::shows_data_from(list, end as u32);
        }
    }

    fn entry(
        &mut self,
        parent: Ino,
        cookie: u64,
        name: &[u8],
        value: &[u8],
        tree: &mut Tree,
        report: &mut Report,
    ) -> KvResult<()> {
        let dirent = Dirent::decode(value)?;
        self.entries += 1;
        self.subdirectories += i64::from(dirent.kind == FileKind::Directory);
        tree.name(parent, &dirent);
        if Name::new(name).is_err() {
            report.add(Some(parent), Problem::BadName { name: name.to_vec() });
        }
        if keys::cookie(parent, name) != cookie {
            report.add(Some(parent), Problem::Cookie { name: name.to_vec() });
        }
        Ok(())
    }

    fn xattr(&mut self, ino: Ino, name: &[u8], value: &[u8], report: &mut Report) -> KvResult<()> {
        let bytes = decode_content(value.to_vec())?.len() as u32;
        let indexed = XattrName::new(name).ok().and_then(|known| self.xattrs_missing.0.remove(&known));
        if indexed != Some(bytes) && !self.incomplete {
            report.add(Some(ino), Problem::XattrUnindexed { name: name.to_vec() });
        }
        Ok(())
    }

    fn check_xattrs(&self, inode: &Inode, report: &mut Report) {
        if self.incomplete {
            return;
        }
        for name in self.xattrs_missing.0.keys() {
            report.add(Some(self.ino), Problem::XattrMissing { name: name.as_bytes().to_vec() });
        }
        if inode.identity.flags.only(InodeFlags::ABOUT_XATTRS) != self.xattr_flags {
            report.add(Some(self.ino), Problem::XattrFlags);
        }
    }

    pub fn end(self, tree: &mut Tree, totals: &mut Totals, report: &mut Report) {
        let Some(inode) = &self.inode else {
            match self.identity_unreadable {
                true => {
                    tree.unreadable.insert(self.ino);
                    totals.unreadable_inode();
                }
                false => report.add(Some(self.ino), Problem::Stray),
            }
            return;
        };
        self.check_kind(inode, report);
        self.check_counts(inode, report);
        self.check_xattrs(inode, report);
        let identity = &inode.identity;
        let trashed = identity.flags.has(InodeFlags::TRASHED);
        if self.origin && !trashed {
            report.add(Some(self.ino), Problem::Trashed);
        }
        tree.inode(
            self.ino,
            Summary {
                kind: identity.kind,
                nlink: identity.nlink,
                parent: identity.parent,
                queued: self.queued,
                quota: identity.quota,
                linked: identity.linked,
                trashed,
            },
        );
        totals.inode(self.ino, identity, inode.allocated, report);
    }

    fn check_kind(&self, inode: &Inode, report: &mut Report) {
        let kind = inode.identity.kind;
        let mut misplaced = |there: bool, wanted: FileKind, what| {
            if there && kind != wanted {
                report.add(Some(self.ino), Problem::Misplaced { what });
            }
        };
        misplaced(self.inline.is_some(), FileKind::Regular, "inline data");
        misplaced(self.has_chunks, FileKind::Regular, "slices");
        misplaced(self.target.is_some(), FileKind::Symlink, "a symlink's target");
        misplaced(self.entries > 0, FileKind::Directory, "directory entries");
    }

    fn check_counts(&self, inode: &Inode, report: &mut Report) {
        if self.incomplete {
            return;
        }
        let mut unless = |fine: bool, problem: Problem| {
            if !fine {
                report.add(Some(self.ino), problem);
            }
        };
        let length = inode.length;
        match inode.identity.kind {
            FileKind::Directory => {
                let (recorded, counted) = (inode.entries, self.entries);
                unless(recorded == counted, Problem::Entries { recorded, counted });
                let (recorded, counted) = (inode.subdirectories, self.subdirectories);
                unless(recorded == counted, Problem::Subdirectories { recorded, counted });
            }
            FileKind::Symlink => {
                let counted = self.target.unwrap_or(0);
                unless(length == counted && counted > 0, Problem::TargetLength { recorded: length, counted });
            }
            FileKind::Regular => {
                unless(self.inline.unwrap_or(0) <= length, Problem::BeyondEnd { what: "inline data", length });
                unless(!self.beyond, Problem::BeyondEnd { what: "slices", length });
            }
            FileKind::Fifo | FileKind::Socket | FileKind::CharDevice | FileKind::BlockDevice => {}
        }
        let (recorded, counted) = (inode.allocated, self.allocated);
        unless(recorded == counted, Problem::Allocated { recorded, counted });
    }
}
