//! One inode of the source, read for being copied: everything in two scans, and values as they are stored.

use super::super::live_bytes::Books;
use crate::inode::Inode;
use crate::keys::{self, Accumulator, Key};
use crate::records::{Identity, XattrIndex, damaged, decode_content, decode_slices};
use crate::{Caller, MetaResult};
use shoal_kv::{Direction, Transaction};
use shoal_types::{Acl, FsResult, Ino, InodeFlags, Slice, XattrName};

pub(super) struct Source {
    pub inode: Inode,
    inline: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    chunks: Vec<Chunk>,
    /// Where the lists begin that this transaction has no room for.
    pub rest: Option<u64>,
    xattrs: Vec<(XattrName, Vec<u8>)>,
    access_acl: Option<Acl>,
}

pub(super) struct Chunk {
    number: u64,
    value: Vec<u8>,
    list: Vec<Slice>,
}

/// What copying takes of a step's room.
#[derive(Clone, Copy, Default)]
pub(super) struct Cost {
    pub bytes: usize,
    pub slices: usize,
}

impl Source {
    /// What an entry names, so that it's there or the volume is damaged; or `None` where nothing says so.
    pub fn load(transaction: &mut dyn Transaction, caller: &Caller, ino: Ino) -> MetaResult<Option<Self>> {
        let pairs = transaction.scan(&keys::attributes_and_content(ino), PAIRS_AT_ONCE, Direction::Forward)?;
        let Some(inode) = Inode::from_pairs(ino, &pairs)? else { return Ok(None) };
        let full = pairs.len() == PAIRS_AT_ONCE;
        let mut source = Source {
            inode,
            inline: None,
            target: None,
            chunks: Vec::new(),
            rest: None,
            xattrs: Vec::new(),
            access_acl: None,
        };
        for (key, value) in pairs {
            match Key::parse(&key) {
                Some(Key::Inline(_)) => source.inline = Some(value),
                Some(Key::Target(_)) => source.target = Some(value),
                Some(Key::Chunk(_, number)) => source.chunks.push(Chunk::decode(number, value)?),
                _ => {}
            }
        }
        if full {
            let next = source.chunks.last().map_or(0, |chunk| chunk.number + 1);
            source.rest = read_chunks(transaction, ino, next, &mut source.chunks)?;
        }
        if source.inode.identity.flags.has(InodeFlags::XATTRS) {
            source.load_xattrs(transaction, caller)?;
        }
        Ok(Some(source))
    }

    fn load_xattrs(&mut self, transaction: &mut dyn Transaction, caller: &Caller) -> MetaResult<()> {
        let ino = self.inode.ino;
        for (key, value) in transaction.scan(&keys::xattrs(ino), usize::MAX, Direction::Forward)? {
            let Some(Key::Xattr(_, name)) = Key::parse(&key) else { continue };
            let name = XattrName::new(name)
                .map_err(|_| damaged("an inode", format!("{ino} has an attribute without a valid name; see fsck")))?;
            if name.is(XattrName::ACCESS_ACL) {
                let acl = Acl::parse(&decode_content(value.clone())?).ok().flatten();
                let missing = || damaged("an access control list", format!("that of inode {ino} is none; see fsck"));
                self.access_acl = Some(acl.ok_or_else(missing)?);
            }
            if caller.keeps(&name) {
                self.xattrs.push((name, value));
            }
        }
        Ok(())
    }

    pub fn permit(&self, caller: &Caller) -> FsResult<()> {
        caller.require(&self.inode.identity, self.access_acl.as_ref())
    }

    pub fn cost(&self) -> Cost {
        let values = self.inline.iter().chain(&self.target).chain(self.xattrs.iter().map(|(_, value)| value));
        let bytes = values.map(|value| value.len() + KEY_BYTES).sum::<usize>() + INODE_BYTES;
        let chunks = cost_of(&self.chunks);
        Cost { bytes: bytes + chunks.bytes, slices: chunks.slices }
    }

    /// Writes everything under another number. `identity` is the copy's, but for what tells of attributes. What it allocates
    /// is in the books.
    pub fn put(&self, transaction: &mut dyn Transaction, books: &mut Books, target: Ino, identity: &mut Identity) {
        identity.flags = self.put_xattrs(transaction, target, identity.flags);
        transaction.put(&Key::Identity(target).encode(), &identity.encode());
        if self.inode.length > 0 && !identity.is_directory() {
            let length = Key::Accumulator(target, Accumulator::Length).encode();
            // Nobody else knows the number, so there is nothing to be the greatest of.
            transaction.put(&length, &self.inode.length.to_le_bytes());
        }
        if let Some(inline) = &self.inline {
            transaction.put(&Key::Inline(target).encode(), inline);
            books.add_inline(inline.len() as i64 - FORMAT_BYTES);
        }
        if let Some(link) = &self.target {
            transaction.put(&Key::Target(target).encode(), link);
        }
        put_chunks(transaction, books, target, &self.chunks);
    }

    /// Of its content.
    pub fn inline_bytes(&self) -> u32 {
        self.inline.as_ref().map_or(0, |inline| (inline.len() as i64 - FORMAT_BYTES) as u32)
    }

    fn put_xattrs(&self, transaction: &mut dyn Transaction, target: Ino, flags: InodeFlags) -> InodeFlags {
        let mut index = XattrIndex::default();
        for (name, value) in &self.xattrs {
            transaction.put(&Key::Xattr(target, name.as_bytes()).encode(), value);
            index.0.insert(name.clone(), (value.len() as i64 - FORMAT_BYTES) as u32);
        }
        if !index.0.is_empty() {
            transaction.put(&Key::XattrIndex(target).encode(), &index.encode());
        }
        index.flags(flags)
    }
}

impl Chunk {
    fn decode(number: u64, value: Vec<u8>) -> MetaResult<Self> {
        Ok(Chunk { number, list: decode_slices(&value)?, value })
    }
}

/// Lists from `first` on, until there are enough for a transaction. Tells where the rest begins.
pub(super) fn read_chunks(
    transaction: &mut dyn Transaction,
    ino: Ino,
    first: u64,
    chunks: &mut Vec<Chunk>,
) -> MetaResult<Option<u64>> {
    let mut next = first;
    while cost_of(chunks).slices < FILE_SLICES_MAX {
        let pairs = transaction.scan(&keys::chunks_from(ino, next), CHUNKS_AT_ONCE, Direction::Forward)?;
        let full = pairs.len() == CHUNKS_AT_ONCE;
        for (key, value) in pairs {
            let Some(Key::Chunk(_, number)) = Key::parse(&key) else { unreachable!("the range holds chunks only") };
            chunks.push(Chunk::decode(number, value)?);
            next = number + 1;
        }
        if !full {
            return Ok(None);
        }
    }
    Ok(Some(next))
}

pub(super) fn put_chunks(transaction: &mut dyn Transaction, books: &mut Books, target: Ino, chunks: &[Chunk]) {
    for chunk in chunks {
        transaction.put(&Key::Chunk(target, chunk.number).encode(), &chunk.value);
        books.add(&chunk.list);
    }
}

fn cost_of(chunks: &[Chunk]) -> Cost {
    Cost {
        bytes: chunks.iter().map(|chunk| chunk.value.len() + KEY_BYTES).sum(),
        slices: chunks.iter().map(|chunk| chunk.list.len()).sum(),
    }
}

/// Nearly every file fits into one scan.
const PAIRS_AT_ONCE: usize = 32;
/// A list has up to 100 kB.
const CHUNKS_AT_ONCE: usize = 32;
/// Slices of one file that are copied in one transaction, give or take one scan: 128 GiB in objects of 4 MiB.
const FILE_SLICES_MAX: usize = 32 << 10;

/// In front of each value.
const FORMAT_BYTES: i64 = 1;
/// About what a key takes, and an inode with its entry.
const KEY_BYTES: usize = 32;
const INODE_BYTES: usize = 512;
