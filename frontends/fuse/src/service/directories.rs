//! Directories: OPENDIR, READDIR, READDIRPLUS.
//!
//! "." and ".." come first, at offsets 1 and 2, below every entry's cookie. An entry's offset is its cookie, so a listing
//! goes on in the right place whatever was added or removed meanwhile.
//!
//! CACHE_DIR is not used. The kernel would check a cached listing by the directory's mtime, which it does not ask for
//! when a program opens its current directory: a listing from before another mount came and went could be shown. And a
//! cached listing brings no attributes, so that `ls -l` costs a LOOKUP for each entry where READDIRPLUS costs one request.

use super::VolumeService;
use super::trash::is_hour;
use crate::transport::{Reply, ReplyBody};
use shoal_fuse_protocol::{DirectoryBuffer, DirectoryPlusBuffer, EntryOut, Header, open_out};
use shoal_types::{FileKind, FsResult, Ino};

const NO_HANDLE: u64 = 0;
const NO_FLAGS: u32 = 0;
const DOT: u64 = 1;
const DOT_DOT: u64 = 2;
/// "." and "..", and entries whose inode has vanished: the name is listed and nothing is remembered about it.
const NO_ENTRY: EntryOut = [0; size_of::<EntryOut>()];
/// Bytes that an entry takes in a reply, with a name of the usual length.
const ENTRY_BYTES: usize = 48;
const ENTRY_PLUS_BYTES: usize = ENTRY_BYTES + size_of::<EntryOut>();
/// A bound on what one request reads of the store.
const ENTRIES_MAX: usize = 4096;

impl VolumeService {
    pub(super) async fn opendir(&self, header: &Header, ino: Ino) -> FsResult<[u8; 16]> {
        let removed = self.removed_files(header);
        let opened = self.volume.open_directory(ino, removed).await;
        opened.inspect_err(|errno| self.note_refusal(header, removed, *errno))?;
        Ok(open_out(NO_HANDLE, NO_FLAGS))
    }

    pub(super) async fn readdir<R: Reply>(&self, header: &Header, ino: Ino, offset: u64, size: u32, reply: R) {
        let listed = self.list(header, ino, offset, size).await;
        reply.send(listed.as_ref().map(|buffer| ReplyBody::Bytes(buffer.as_bytes())).map_err(|errno| *errno));
    }

    pub(super) async fn readdirplus<R: Reply>(&self, header: &Header, ino: Ino, offset: u64, size: u32, reply: R) {
        let listed = self.list_plus(header, ino, offset, size).await;
        reply.send(listed.as_ref().map(|buffer| ReplyBody::Bytes(buffer.as_bytes())).map_err(|errno| *errno));
    }

    /// Reading from the beginning counts as one access.
    async fn note_listing(&self, ino: Ino, offset: u64) -> FsResult<()> {
        if offset == 0 && self.directory_access_times {
            self.volume.note_access(&self.volume.get_attributes(ino).await?);
        }
        Ok(())
    }

    async fn list(&self, header: &Header, ino: Ino, offset: u64, size: u32) -> FsResult<DirectoryBuffer> {
        self.note_listing(ino, offset).await?;
        let mut buffer = DirectoryBuffer::new(size);
        for (at, ino, name) in self.dots(ino, offset).await? {
            if !buffer.push(ino.0, at, FileKind::Directory, name) {
                return Ok(buffer);
            }
        }
        let mut after = offset;
        loop {
            let limit = entries_that_fit(size, ENTRY_BYTES);
            let page = self.volume.read_directory(ino, after, limit, is_hour(ino)).await?;
            let offsets = offsets(page.entries.iter().map(|entry| entry.cookie));
            for (entry, offset) in page.entries.iter().zip(offsets) {
                let hidden = self.hides_entry(header, ino, entry);
                if !hidden && !buffer.push(entry.ino.0, offset, entry.kind, entry.name.as_bytes()) {
                    return Ok(buffer);
                }
            }
            match page.entries.last() {
                // An empty reply is the end of the directory.
                Some(last) if buffer.is_empty() && !page.end => after = last.cookie,
                _ => return Ok(buffer),
            }
        }
    }

    async fn list_plus(&self, header: &Header, ino: Ino, offset: u64, size: u32) -> FsResult<DirectoryPlusBuffer> {
        self.note_listing(ino, offset).await?;
        let mut buffer = DirectoryPlusBuffer::new(size);
        for (at, ino, name) in self.dots(ino, offset).await? {
            if !buffer.push(&NO_ENTRY, ino.0, at, FileKind::Directory, name) {
                return Ok(buffer);
            }
        }
        let mut after = offset;
        loop {
            let limit = entries_that_fit(size, ENTRY_PLUS_BYTES);
            let page = self.volume.read_directory(ino, after, limit, true).await?;
            let offsets = offsets(page.entries.iter().map(|entry| entry.cookie));
            for (entry, offset) in page.entries.iter().zip(offsets) {
                if self.hides_entry(header, ino, entry) {
                    continue;
                }
                let out = match &entry.attributes {
                    Some(attributes) => self.uncounted_entry(attributes, Some((ino, &entry.name)))?,
                    None => NO_ENTRY,
                };
                if !buffer.push(&out, entry.ino.0, offset, entry.kind, entry.name.as_bytes()) {
                    return Ok(buffer);
                }
                if entry.attributes.is_some() {
                    self.volume.note_lookup(entry.ino);
                }
            }
            match page.entries.last() {
                Some(last) if buffer.is_empty() && !page.end => after = last.cookie,
                _ => return Ok(buffer),
            }
        }
    }

    /// Those of "." and ".." that come after `offset`, each with its own.
    async fn dots(&self, ino: Ino, offset: u64) -> FsResult<impl Iterator<Item = (u64, Ino, &'static [u8])> + use<>> {
        let parent = if offset < DOT_DOT { self.parent(ino).await? } else { ino };
        let dots = [(DOT, ino, &b"."[..]), (DOT_DOT, parent, &b".."[..])];
        Ok(dots.into_iter().filter(move |(at, ..)| *at > offset))
    }
}

/// At least one, so that a listing always gets on.
fn entries_that_fit(size: u32, entry_bytes: usize) -> usize {
    (size as usize / entry_bytes).clamp(1, ENTRIES_MAX)
}

/// Where reading goes on after each of a page's entries. That is behind its cookie, unless the next entry has the same
/// one: then it's just before it, because the reader may stop between the two. Listing one of them twice is better than
/// losing the other.
fn offsets(cookies: impl Iterator<Item = u64> + Clone) -> impl Iterator<Item = u64> {
    let next = cookies.clone().skip(1).map(Some).chain([None]);
    cookies.zip(next).map(|(cookie, next)| if next == Some(cookie) { cookie - 1 } else { cookie })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_stops_between_equal_cookies_loses_neither() {
        let of = |cookies: &[u64]| offsets(cookies.iter().copied()).collect::<Vec<_>>();
        assert_eq!(of(&[16, 20, 20, 30]), [16, 19, 20, 30]);
        assert_eq!(of(&[16, 16]), [15, 16]);
        assert_eq!(of(&[40]), [40]);
        assert!(of(&[]).is_empty());
        for after_first in of(&[16, 16]) {
            assert!(after_first > DOT_DOT, "the dots are not listed again");
        }
    }

    #[test]
    fn every_request_reads_some_entries_and_none_too_many() {
        assert_eq!(entries_that_fit(0, ENTRY_BYTES), 1);
        assert_eq!(entries_that_fit(4096, ENTRY_PLUS_BYTES), 23);
        assert_eq!(entries_that_fit(u32::MAX, ENTRY_BYTES), ENTRIES_MAX);
    }
}
