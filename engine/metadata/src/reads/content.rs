//! What a file's content is made of.

use crate::inode::{Inode, require_regular};
use crate::keys::{self, Key};
use crate::records::{decode_content, decode_slices};
use crate::{Content, MetaResult, Metadata};
use shoal_kv::{Direction, KvResult, Pair};
use shoal_types::{Errno, Ino, Slice};

impl Metadata {
    /// `EISDIR`, `EINVAL` for anything but a regular file. The inline bytes may end before the file does: what is behind
    /// them, and in no slice, is zeros.
    pub fn get_content(&self, ino: Ino) -> MetaResult<Content> {
        let range = keys::attributes_and_content(ino);
        let pairs = self.at_snapshot(|reader| Ok(reader.scan(&range, PAIRS_MAX, Direction::Forward)?))?;
        let inode = Inode::from_pairs(ino, &pairs)?.ok_or(Errno::ENOENT)?;
        require_regular(&inode.identity)?;
        let mut content = Content {
            attributes: inode.attributes(),
            parent: inode.identity.parent,
            inline: None,
            chunks: Vec::new(),
            all_chunks: pairs.len() < PAIRS_MAX,
        };
        for (key, value) in pairs {
            match Key::parse(&key) {
                Some(Key::Inline(_)) => content.inline = Some(decode_content(value)?),
                Some(Key::Chunk(_, chunk)) => content.chunks.push((chunk, decode_slices(&value)?)),
                _ => {}
            }
        }
        Ok(content)
    }

    /// A chunk's slices, oldest first; empty where there are none.
    pub fn get_chunk(&self, ino: Ino, chunk: u64) -> MetaResult<Vec<Slice>> {
        let key = Key::Chunk(ino, chunk).encode();
        let value = self.at_snapshot(|reader| Ok(reader.get(&key)?))?;
        Ok(decode_slices(&value.unwrap_or_default())?)
    }

    /// The chunks of a file from `first` on that have slices, at most `limit`.
    pub fn get_chunks(&self, ino: Ino, first: u64, limit: usize) -> MetaResult<Vec<(u64, Vec<Slice>)>> {
        let range = keys::chunks_from(ino, first);
        let pairs = self.at_snapshot(|reader| Ok(reader.scan(&range, limit, Direction::Forward)?))?;
        Ok(pairs.iter().map(decode_chunk).collect::<KvResult<_>>()?)
    }
}

fn decode_chunk((key, value): &Pair) -> KvResult<(u64, Vec<Slice>)> {
    let Some(Key::Chunk(_, chunk)) = Key::parse(key) else { unreachable!("the range holds chunks only") };
    Ok((chunk, decode_slices(value)?))
}

/// A file's identity, four accumulators, inline data, and the first chunk; one more tells that there are no others.
const PAIRS_MAX: usize = 8;
