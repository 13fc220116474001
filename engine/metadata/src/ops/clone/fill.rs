//! One step of filling a copy: as many entries as a transaction takes, of as many directories as there are.
//!
//! Directories found on the way are filled in the same step where there is room, so that a tree of small ones takes no more
//! transactions than one large directory.

use super::super::charges::{Charges, Fit};
use super::super::live_bytes::Books;
use super::super::{session, stage};
use super::source::{self, Cost, Source};
use super::{Copy, progress, rest_of, save, under_way};
use crate::inode;
use crate::keys::{self, Accumulator, Key};
use crate::records::{
    CloneFile, CloneRecord, Dirent, FileVersion, Identity, damaged, decode_clone_directory, decode_clone_link,
    encode_clone_directory, encode_clone_link,
};
use crate::{CloneRefusal, FillClone, MetaError, MetaReply, MetaResult};
use shoal_kv::{Direction, Transaction};
use shoal_types::{Errno, FileKind, Ino};

pub(in super::super) fn fill(transaction: &mut dyn Transaction, operation: &FillClone) -> MetaResult<MetaReply> {
    let rules = session::require(transaction, operation.session)?;
    let record = under_way(transaction, operation.clone, operation.session)?;
    let FillClone { caller, session, now, .. } = operation;
    let stage_above = stage::threshold(transaction)?;
    let (quota, flags) = (record.quota, record.flags);
    let copy = Copy { caller, quota, flags, rules, stage_above, session: *session, now: *now };
    let mut step = Step {
        clone: operation.clone,
        copy,
        charges: Charges::exempt(rules, operation.caller.is_superuser()),
        record,
        next_inode: operation.inodes.start,
        end_inode: operation.inodes.end,
        used: Cost::default(),
        visited: 0,
        in_hand: Vec::new(),
    };
    let refusal = match step.continue_file(transaction)? {
        Some(refusal) => Some(refusal),
        None => step.fill(transaction)?,
    };
    let filled = step.in_hand.is_empty() && step.record.file.is_none() && step.next_stored(transaction)?.is_none();
    for directory in std::mem::take(&mut step.in_hand) {
        directory.store(transaction, step.clone);
    }
    let Step { charges, record, next_inode, clone, .. } = step;
    charges.settle(transaction, Fit::Whole)?;
    save(transaction, clone, &record);
    Ok(MetaReply::Cloning(progress(&record, next_inode, filled && refusal.is_none(), refusal)))
}

struct Step<'a> {
    clone: Ino,
    copy: Copy<'a>,
    charges: Charges,
    record: CloneRecord,
    next_inode: u64,
    end_inode: u64,
    used: Cost,
    /// Entries copied, and directories looked at.
    visited: usize,
    /// Directories to be filled that are not in the store, or not as they are there.
    in_hand: Vec<Directory>,
}

/// A directory of the copy that is still to be filled.
struct Directory {
    ino: Ino,
    source: Ino,
    /// Of the last entry copied, as it stands in the source's key.
    place: Vec<u8>,
    /// There is a note of it.
    stored: bool,
}

enum Entry {
    Copied(FileKind),
    /// Of the page's entries this one is for the next step.
    NoRoom,
    Refused(Errno),
}

impl Step<'_> {
    fn fill(&mut self, transaction: &mut dyn Transaction) -> MetaResult<Option<CloneRefusal>> {
        while self.record.file.is_none() && self.visited < ENTRIES_MAX {
            let directory = match self.in_hand.pop() {
                Some(directory) => Some(directory),
                None => self.next_stored(transaction)?,
            };
            let Some(directory) = directory else { break };
            match self.fill_page(transaction, directory)? {
                Page::Copied => {}
                Page::NoRoom => break,
                Page::Refused(refusal) => return Ok(Some(refusal)),
            }
        }
        Ok(None)
    }

    /// The last one made: a tree is filled in depth, so that notes are few.
    fn next_stored(&self, transaction: &mut dyn Transaction) -> MetaResult<Option<Directory>> {
        let noted = transaction.scan(&keys::clone_directories(self.clone), 1, Direction::Backward)?.pop();
        let Some((key, value)) = noted else { return Ok(None) };
        let Some(Key::CloneDirectory(_, ino)) = Key::parse(&key) else { unreachable!("the range holds these only") };
        let (source, place) = decode_clone_directory(&value)?;
        Ok(Some(Directory { ino, source, place: place.to_vec(), stored: true }))
    }

    /// Copies some entries of a directory, and then puts it back into the hand or forgets it.
    fn fill_page(&mut self, transaction: &mut dyn Transaction, mut directory: Directory) -> MetaResult<Page> {
        let limit = ENTRIES_MAX - self.visited;
        // Empty directories count as well, or there could be any number of them.
        self.visited += 1;
        let range = keys::dirents_behind(directory.source, &directory.place);
        let entries = transaction.scan(&range, limit, Direction::Forward)?;
        let (mut counts, first) = (Counts::default(), directory.place.is_empty());
        let mut page = Page::Copied;
        let mut rest = entries.len() == limit;
        for (key, value) in &entries {
            let Some(Key::Dirent(_, _, name)) = Key::parse(key) else { unreachable!("the range holds entries only") };
            match self.copy_entry(transaction, &directory, name, Dirent::decode(value)?)? {
                Entry::Copied(kind) => {
                    counts.entries += 1;
                    counts.subdirectories += i64::from(kind == FileKind::Directory);
                    directory.place = keys::dirent_place(key).to_vec();
                }
                Entry::NoRoom => page = Page::NoRoom,
                Entry::Refused(errno) => {
                    let (directory, name) = (directory.source, name.to_vec());
                    page = Page::Refused(CloneRefusal { errno, directory, name });
                }
            }
            if !matches!(page, Page::Copied) {
                rest = true;
                break;
            }
        }
        self.record.entries += counts.entries.cast_unsigned();
        counts.put(transaction, directory.ino, first);
        match rest {
            true => self.in_hand.push(directory),
            false if directory.stored => transaction.delete(&directory.key(self.clone)),
            false => {}
        }
        Ok(page)
    }

    fn copy_entry(
        &mut self,
        transaction: &mut dyn Transaction,
        directory: &Directory,
        name: &[u8],
        entry: Dirent,
    ) -> MetaResult<Entry> {
        if self.record.file.is_some() {
            return Ok(Entry::NoRoom);
        }
        let Some(source) = Source::load(transaction, self.copy.caller, entry.ino)? else {
            let missing = format!("{} has a name and does not exist; see fsck", entry.ino);
            return Err(damaged("an inode", missing).into());
        };
        if let Err(errno) = source.permit(self.copy.caller) {
            return Ok(Entry::Refused(errno));
        }
        let link = source.inode.identity.linked && entry.kind != FileKind::Directory;
        let link = link.then(|| Key::CloneLink(self.clone, entry.ino).encode());
        let known = match &link {
            Some(key) => transaction.get(key)?,
            None => None,
        };
        let target = match known {
            Some(target) => {
                let target = decode_clone_link(&target)?;
                name_once_more(transaction, target)?;
                target
            }
            None => {
                if !self.take_room(source.cost()) {
                    return Ok(Entry::NoRoom);
                }
                let target = Ino(self.next_inode);
                self.next_inode += 1;
                self.copy_inode(transaction, &source, target, directory, name)?;
                if let Some(key) = link {
                    transaction.put(&key, &encode_clone_link(target));
                }
                target
            }
        };
        self.visited += 1;
        let key = Key::Dirent(directory.ino, keys::cookie(directory.ino, name), name);
        transaction.put(&key.encode(), &Dirent { ino: target, kind: entry.kind }.encode());
        Ok(Entry::Copied(entry.kind))
    }

    fn copy_inode(
        &mut self,
        transaction: &mut dyn Transaction,
        source: &Source,
        target: Ino,
        directory: &Directory,
        name: &[u8],
    ) -> MetaResult<()> {
        self.record.bytes += self.copy.put(transaction, &mut self.charges, source, target, directory.ino)?;
        self.record.file = rest_of(source, target, (directory.source, name));
        if source.inode.identity.is_directory() {
            let (source, place) = (source.inode.ino, Vec::new());
            self.in_hand.push(Directory { ino: target, source, place, stored: false });
        }
        Ok(())
    }

    /// What takes more than a step has is copied if it's the first.
    fn take_room(&mut self, cost: Cost) -> bool {
        let after = Cost { bytes: self.used.bytes + cost.bytes, slices: self.used.slices + cost.slices };
        let fits = after.bytes <= BYTES_MAX && after.slices <= SLICES_MAX;
        let room = self.next_inode < self.end_inode && (fits || self.used.bytes == 0);
        if room {
            self.used = after;
        }
        room
    }

    /// More of a file that takes several steps.
    fn continue_file(&mut self, transaction: &mut dyn Transaction) -> MetaResult<Option<CloneRefusal>> {
        let Some(file) = self.record.file.take() else { return Ok(None) };
        let unchanged = match inode::load(transaction, file.source) {
            Err(MetaError::Refused(Errno::ENOENT)) => false,
            inode => FileVersion::of(&inode?) == file.version,
        };
        if !unchanged {
            let CloneFile { directory, name, .. } = file;
            return Ok(Some(CloneRefusal { errno: Errno::EBUSY, directory, name }));
        }
        let mut chunks = Vec::new();
        let rest = source::read_chunks(transaction, file.source, file.next, &mut chunks)?;
        let mut books = Books::new(file.target);
        source::put_chunks(transaction, &mut books, file.target, &chunks);
        self.record.bytes += books.allocated().cast_unsigned();
        let identity = inode::identity(transaction, file.target)?;
        books.close(transaction, &mut self.charges, &identity, self.copy.now)?;
        // The step has done its share.
        self.visited = ENTRIES_MAX;
        self.record.file = rest.map(|next| CloneFile { next, ..file });
        Ok(None)
    }
}

enum Page {
    Copied,
    NoRoom,
    Refused(CloneRefusal),
}

#[derive(Default)]
struct Counts {
    entries: i64,
    subdirectories: i64,
}

impl Counts {
    /// Of a directory's first entries nothing is there to be added to.
    fn put(&self, transaction: &mut dyn Transaction, directory: Ino, first: bool) {
        for (field, count) in [(Accumulator::Entries, self.entries), (Accumulator::Subdirectories, self.subdirectories)]
        {
            let key = Key::Accumulator(directory, field).encode();
            match first {
                _ if count == 0 => {}
                true => transaction.put(&key, &count.to_le_bytes()),
                false => transaction.add(&key, count),
            }
        }
    }
}

impl Directory {
    fn key(&self, clone: Ino) -> Vec<u8> {
        Key::CloneDirectory(clone, self.ino).encode()
    }

    fn store(&self, transaction: &mut dyn Transaction, clone: Ino) {
        transaction.put(&self.key(clone), &encode_clone_directory(self.source, &self.place));
    }
}

/// A further name of a file that has been copied under another one.
fn name_once_more(transaction: &mut dyn Transaction, target: Ino) -> MetaResult<()> {
    let identity = inode::identity(transaction, target)?;
    let named = Identity { nlink: identity.nlink + 1, linked: true, ..identity };
    transaction.put(&Key::Identity(target).encode(), &named.encode());
    Ok(())
}

/// Bounds on one step: entries, bytes written, and slices, each of which may change an object's record.
const ENTRIES_MAX: usize = FillClone::INODES as usize;
const BYTES_MAX: usize = 1 << 20;
const SLICES_MAX: usize = 4096;
