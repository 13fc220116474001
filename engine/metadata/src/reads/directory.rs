//! A directory page by page, in the order of cookies.

use crate::inode::{self, Inode};
use crate::keys::{self, Key};
use crate::records::{Dirent, damaged};
use crate::{DirectoryEntry, DirectoryPage, MetaResult, Metadata};
use shoal_kv::{Direction, KvResult, Pair, Reader};
use shoal_types::{Errno, Ino, Name};

impl Metadata {
    /// About `limit` entries behind `cookie` (0 for the first): a few more where cookies are equal, so that a page never
    /// ends between them. `ENOENT`, `ENOTDIR`; a directory that has been removed and is still open has no entries.
    pub fn read_directory(&self, ino: Ino, cookie: u64, limit: usize, attributes: bool) -> MetaResult<DirectoryPage> {
        self.at_snapshot(|reader| {
            if !inode::identity(reader, ino)?.is_directory() {
                return Err(Errno::ENOTDIR.into());
            }
            let (pairs, end) = scan_page(reader, ino, cookie, limit.max(1))?;
            let mut entries = pairs.iter().map(parse).collect::<KvResult<Vec<_>>>()?;
            if attributes {
                for entry in &mut entries {
                    entry.attributes = load_attributes(reader, entry.ino)?;
                }
            }
            Ok(DirectoryPage { entries, end })
        })
    }
}

/// One entry more than asked for tells whether the page is the last, and nearly always whether it may end where it does.
fn scan_page(reader: &mut dyn Reader, ino: Ino, cookie: u64, limit: usize) -> KvResult<(Vec<Pair>, bool)> {
    let mut pairs = reader.scan(&keys::dirents_after(ino, cookie), limit.saturating_add(1), Direction::Forward)?;
    if pairs.len() <= limit {
        return Ok((pairs, true));
    }
    let [.., last, extra] = pairs.as_slice() else { unreachable!("a page has one entry at least, and one is extra") };
    let last_cookie = parse(last)?.cookie;
    if parse(extra)?.cookie != last_cookie {
        pairs.pop();
        return Ok((pairs, false));
    }
    let rest = keys::behind(&extra.0, &keys::dirents_at(ino, last_cookie));
    pairs.extend(reader.scan(&rest, usize::MAX, Direction::Forward)?);
    Ok((pairs, false))
}

fn parse((key, value): &Pair) -> KvResult<DirectoryEntry> {
    let bad_key = || damaged("a directory entry", format!("the key {} names nothing", key.escape_ascii()));
    let Some(Key::Dirent(_, cookie, name)) = Key::parse(key) else { return Err(bad_key()) };
    let name = Name::new(name).map_err(|_| bad_key())?;
    let Dirent { ino, kind } = Dirent::decode(value)?;
    Ok(DirectoryEntry { cookie, name, ino, kind, attributes: None })
}

fn load_attributes(reader: &mut dyn Reader, ino: Ino) -> KvResult<Option<shoal_types::Attributes>> {
    let pairs = reader.scan(&keys::attributes(ino), inode::PAIRS_MAX, Direction::Forward)?;
    Ok(Inode::from_pairs(ino, &pairs)?.map(|inode| inode.attributes()))
}
