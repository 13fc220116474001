//! From an inode back to a path: for people who ask about one, never for serving a mount.
//!
//! Entries lead from names to inodes only, so each step upwards looks through a directory. A file's own note of its
//! directory can be outdated once it has had several names; then, and only then, the whole volume is looked through.

use crate::inode;
use crate::keys::{self, Key};
use crate::ops::trash;
use crate::records::{Dirent, damaged};
use crate::{MetaResult, Metadata, TrashName};
use shoal_kv::{Direction, KeyRange, KvResult, Reader};
use shoal_types::{Errno, Ino};

impl Metadata {
    /// A slash-separated path from the root, of one of the inode's names; `ENOENT` for one that has none.
    pub fn path_of(&self, ino: Ino) -> MetaResult<Vec<u8>> {
        self.at_snapshot(|reader| {
            let mut names = Vec::new();
            let mut below = ino;
            while below != Ino::ROOT {
                if below == Ino::TRASH {
                    names.push(TrashName::of_all().as_bytes().to_vec());
                    break;
                }
                let (parent, name) = find_name(reader, below)?;
                names.push(name);
                if names.len() > DEPTH_MAX {
                    return Err(damaged("the tree", format!("the directories above inode {ino} form a loop")).into());
                }
                below = parent;
            }
            names.reverse();
            Ok([&b"/"[..], &names.join(&b'/')].concat())
        })
    }
}

fn find_name(reader: &mut dyn Reader, ino: Ino) -> MetaResult<(Ino, Vec<u8>)> {
    let identity = inode::identity(reader, ino)?;
    if !trash::has_name(&identity) {
        return Err(Errno::ENOENT.into());
    }
    if let Some(found) = find_entry(reader, keys::dirents(identity.parent), ino)? {
        return Ok(found);
    }
    let anywhere = find_entry(reader, keys::tag(b'n'), ino)?;
    anywhere.ok_or_else(|| damaged("an inode", format!("{ino} counts {} names and has none", identity.nlink)).into())
}

/// The first entry within `range` that names the inode.
fn find_entry(reader: &mut dyn Reader, mut range: KeyRange, ino: Ino) -> KvResult<Option<(Ino, Vec<u8>)>> {
    loop {
        let pairs = reader.scan(&range, SCAN_PAIRS, Direction::Forward)?;
        for (key, value) in &pairs {
            if let Some(Key::Dirent(parent, _, name)) = Key::parse(key)
                && Dirent::decode(value)?.ino == ino
            {
                return Ok(Some((parent, name.to_vec())));
            }
        }
        match pairs.last() {
            Some((last, _)) if pairs.len() == SCAN_PAIRS => range = keys::behind(last, &range),
            _ => return Ok(None),
        }
    }
}

const SCAN_PAIRS: usize = 256;
/// Deeper trees than this are taken for loops.
pub(crate) const DEPTH_MAX: usize = 1_000_000;
