//! The bytes of one file, sparse so that a test may write at any offset, and a hash to compare content by.
//!
//! Invariant: bytes of a page beyond the length are zero, so growing needs no clearing.

use std::collections::BTreeMap;

#[derive(Clone, Default, Debug)]
pub(crate) struct Content {
    length: u64,
    pages: BTreeMap<u64, Box<[u8; PAGE_BYTES]>>,
}

impl Content {
    pub fn length(&self) -> u64 {
        self.length
    }

    /// An estimate that no comparison should rely on: whole pages ever written.
    pub fn allocated(&self) -> u64 {
        (self.pages.len() * PAGE_BYTES) as u64
    }

    pub fn write(&mut self, offset: u64, bytes: &[u8]) {
        let mut rest = bytes;
        let mut position = offset;
        while !rest.is_empty() {
            let (page, start) = locate(position);
            let (now, later) = rest.split_at(rest.len().min(PAGE_BYTES - start));
            let page = self.pages.entry(page).or_insert_with(|| Box::new([0; PAGE_BYTES]));
            page[start..start + now.len()].copy_from_slice(now);
            position += now.len() as u64;
            rest = later;
        }
        self.length = self.length.max(position);
    }

    pub fn read(&self, offset: u64, length: usize) -> Vec<u8> {
        let end = self.length.min(offset.saturating_add(length as u64));
        let mut bytes = vec![0; end.saturating_sub(offset) as usize];
        let mut done = 0;
        while done < bytes.len() {
            let (page, start) = locate(offset + done as u64);
            let count = (bytes.len() - done).min(PAGE_BYTES - start);
            if let Some(page) = self.pages.get(&page) {
                bytes[done..done + count].copy_from_slice(&page[start..start + count]);
            }
            done += count;
        }
        bytes
    }

    pub fn truncate(&mut self, length: u64) {
        let (page, start) = locate(length);
        if length < self.length {
            self.pages.split_off(&(page + 1));
            if let Some(page) = self.pages.get_mut(&page) {
                page[start..].fill(0);
            }
        }
        self.length = length;
    }

    /// Zeros from `start` to before `end`; the length stays.
    pub fn clear(&mut self, start: u64, end: u64) {
        let touched: Vec<u64> = self
            .pages
            .range(start / PAGE_BYTES as u64..end.div_ceil(PAGE_BYTES as u64))
            .map(|(page, _)| *page)
            .collect();
        for number in touched {
            let first = number * PAGE_BYTES as u64;
            let within = |offset: u64| offset.saturating_sub(first).min(PAGE_BYTES as u64) as usize;
            let page = self.pages.get_mut(&number).expect("just seen");
            page[within(start)..within(end)].fill(0);
        }
    }

    /// Nothing but zeros from `start` to before `end`.
    pub fn is_zero(&self, start: u64, end: u64) -> bool {
        let pages = self.pages.range(start / PAGE_BYTES as u64..end.div_ceil(PAGE_BYTES as u64));
        pages.into_iter().all(|(number, page)| {
            let first = number * PAGE_BYTES as u64;
            let within = |offset: u64| offset.saturating_sub(first).min(PAGE_BYTES as u64) as usize;
            page[within(start)..within(end)].iter().all(|byte| *byte == 0)
        })
    }

    /// Grows with zeros where it is shorter.
    pub fn grow(&mut self, length: u64) {
        self.length = self.length.max(length);
    }

    pub fn hash(&self) -> u64 {
        hash_pages(self.length, self.pages.iter().map(|(index, page)| (*index, page.as_slice())))
    }
}

/// The hash that a tree dump shows for a file of exactly these bytes. Holes and written zeros hash alike.
pub fn content_hash(bytes: &[u8]) -> u64 {
    hash_pages(bytes.len() as u64, bytes.chunks(PAGE_BYTES).enumerate().map(|(index, page)| (index as u64, page)))
}

/// As `content_hash`, of a file that has these bytes at these offsets, in order, and zeros elsewhere.
pub fn content_hash_of(length: u64, parts: impl IntoIterator<Item = (u64, Vec<u8>)>) -> u64 {
    let mut content = Content::default();
    parts.into_iter().for_each(|(offset, bytes)| content.write(offset, &bytes));
    content.truncate(length);
    content.hash()
}

/// FNV-1a over the length and every page that is not all zeros, each with its number and without its trailing zeros.
fn hash_pages<'a>(length: u64, pages: impl Iterator<Item = (u64, &'a [u8])>) -> u64 {
    let mut hash = fnv(0xcbf2_9ce4_8422_2325, &length.to_le_bytes());
    for (index, page) in pages {
        let used = page.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        if used > 0 {
            hash = fnv(fnv(hash, &index.to_le_bytes()), &page[..used]);
        }
    }
    hash
}

fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn locate(offset: u64) -> (u64, usize) {
    (offset / PAGE_BYTES as u64, (offset % PAGE_BYTES as u64) as usize)
}

const PAGE_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_across_pages_read_back() {
        let mut content = Content::default();
        let bytes: Vec<u8> = (0..10_000u32).map(|i| (i % 251) as u8).collect();
        content.write(4000, &bytes);
        assert_eq!(content.length(), 14_000);
        assert_eq!(content.read(4000, 20_000), bytes);
        assert_eq!(content.read(3998, 4), [0, 0, 0, 1]);
    }

    #[test]
    fn growing_after_a_cut_shows_zeros_and_not_the_old_bytes() {
        for cut in [0, 1, 4095, 4096, 4097, 8192] {
            let mut content = Content::default();
            content.write(0, &[7; 9000]);
            content.truncate(cut);
            content.truncate(9000);
            let mut expected = vec![7; cut as usize];
            expected.resize(9000, 0);
            assert_eq!(content.read(0, 9000), expected, "cut at {cut}");
        }
    }

    #[test]
    fn the_hash_depends_on_bytes_and_length_and_not_on_holes() {
        let mut holes = Content::default();
        holes.write(8192, b"x");
        holes.truncate(20_000);
        let mut plain = vec![0; 20_000];
        plain[8192] = b'x';
        assert_eq!(holes.hash(), content_hash(&plain));
        plain[8193] = b'x';
        assert_ne!(holes.hash(), content_hash(&plain));
        assert_ne!(content_hash(&[0; 5]), content_hash(&[0; 6]));
        assert_eq!(content_hash_of(20_000, [(8192, vec![b'x'])]), holes.hash());
    }

    #[test]
    fn written_zeros_and_holes_are_zero_and_nothing_else() {
        let mut content = Content::default();
        content.write(4090, &[0; 20]);
        content.write(9000, b"x");
        assert!(content.is_zero(0, 9000) && content.is_zero(9001, u64::MAX));
        assert!(!content.is_zero(8999, 9001) && !content.is_zero(0, u64::MAX) && content.is_zero(9000, 9000));
    }

    #[test]
    fn the_last_byte_of_the_largest_file_can_be_written() {
        let mut content = Content::default();
        content.write(shoal_types::FILE_BYTES_MAX - 1, b"z");
        assert_eq!(content.read(shoal_types::FILE_BYTES_MAX - 1, 10), b"z");
    }
}
