//! Pages of directories, and paths.

use crate::support::*;
use shoal_kv::{Durability, Kv, MemoryKv, Verdict};
use shoal_metadata::keys::{COOKIE_MIN, Key};
use shoal_metadata::records::Dirent;
use shoal_metadata::{MetaError, Metadata};
use shoal_types::{Errno, FileKind, Ino};
use std::sync::Arc;

/// Entries of the root at these cookies, which real hashes would hardly ever give.
fn directory_with(cookies: &[u64]) -> Metadata {
    let kv: Arc<dyn Kv> = MemoryKv::new();
    let mount = volume(kv.clone());
    let cookies = cookies.to_vec();
    let write = move |transaction: &mut dyn shoal_kv::Transaction, _| {
        for (number, cookie) in cookies.iter().enumerate() {
            let dirent = Dirent { ino: Ino(100 + number as u64), kind: FileKind::Regular };
            let name = format!("{number}");
            transaction.put(&Key::Dirent(Ino::ROOT, *cookie, name.as_bytes()).encode(), &dirent.encode());
        }
        Ok(((), Verdict::Commit))
    };
    kv.transact(Durability::Visible, write).unwrap();
    mount.metadata
}

/// The cookies of each page, and whether the last one knew that it was.
fn pages(metadata: &Metadata, limit: usize) -> Vec<Vec<u64>> {
    let mut pages: Vec<Vec<u64>> = Vec::new();
    loop {
        let cookie = pages.last().and_then(|page| page.last().copied()).unwrap_or(0);
        let page = metadata.read_directory(Ino::ROOT, cookie, limit, false).unwrap();
        pages.push(page.entries.iter().map(|entry| entry.cookie).collect());
        if page.end {
            return pages;
        }
    }
}

#[test]
fn a_page_never_ends_between_entries_of_equal_cookie() {
    let metadata = directory_with(&[20, 30, 30, 30, 30, 40]);
    assert_eq!(pages(&metadata, 1), [vec![20], vec![30; 4], vec![40]]);
    assert_eq!(pages(&metadata, 2), [vec![20, 30, 30, 30, 30], vec![40]]);
    assert_eq!(pages(&metadata, 5), [vec![20, 30, 30, 30, 30], vec![40]]);
    assert_eq!(pages(&metadata, 6), [vec![20, 30, 30, 30, 30, 40]]);
}

#[test]
fn the_last_page_says_so_also_where_it_is_exactly_full_or_empty() {
    assert_eq!(pages(&directory_with(&[20, 30]), 2), [[20, 30]]);
    assert_eq!(pages(&directory_with(&[]), 2), [Vec::<u64>::new()]);
    assert_eq!(pages(&directory_with(&[20]), 0), [[20]], "a limit of nothing still makes progress");
    assert_eq!(pages(&directory_with(&[COOKIE_MIN, i64::MAX as u64, u64::MAX]), 1).concat().len(), 3);
}

#[test]
fn an_entry_that_stays_is_listed_once_whatever_comes_and_goes_around_it() {
    let mount = volume(MemoryKv::new());
    for number in 0..50 {
        mount.create(1, &format!("stays {number}"), 2 + number, FileKind::Fifo).unwrap();
    }
    let mut seen = Vec::new();
    let mut cookie = 0;
    for round in 0.. {
        let page = mount.metadata.read_directory(Ino::ROOT, cookie, 3, false).unwrap();
        cookie = page.entries.last().map_or(cookie, |entry| entry.cookie);
        seen.extend(
            page.entries.into_iter().map(|entry| entry.name).filter(|name| name.as_bytes().starts_with(b"stays")),
        );
        if page.end {
            break;
        }
        mount.create(1, &format!("comes {round}"), 100 + round, FileKind::Fifo).unwrap();
        if round > 0 {
            mount.unlink(1, &format!("comes {}", round - 1), &[]).unwrap();
        }
    }
    seen.sort();
    let mut expected: Vec<_> = (0..50).map(|number| name(&format!("stays {number}"))).collect();
    expected.sort();
    assert_eq!(seen, expected);
}

#[test]
fn a_path_is_found_through_any_name_that_is_left() {
    let mount = volume(MemoryKv::new());
    mount.create(1, "a", 2, FileKind::Directory).unwrap();
    mount.create(2, "b", 3, FileKind::Directory).unwrap();
    mount.create(3, "f", 4, FileKind::Regular).unwrap();
    assert_eq!(mount.metadata.path_of(Ino(4)).unwrap(), b"/a/b/f");
    mount.link(4, 2, "g").unwrap();
    mount.unlink(3, "f", &[]).unwrap();
    assert_eq!(mount.metadata.path_of(Ino(4)).unwrap(), b"/a/g", "though the inode was created elsewhere");
    mount.rename((2, "b"), (1, "c")).unwrap();
    assert_eq!(mount.metadata.path_of(Ino(3)).unwrap(), b"/c");
    assert_eq!(mount.metadata.path_of(Ino::ROOT).unwrap(), b"/");
    mount.unlink(2, "g", &[]).unwrap();
    assert_eq!(mount.metadata.path_of(Ino(4)), Err(MetaError::Refused(Errno::ENOENT)));
}

#[test]
fn a_directory_knows_its_parent_as_long_as_it_has_one() {
    let mount = volume(MemoryKv::new());
    mount.create(1, "a", 2, FileKind::Directory).unwrap();
    mount.create(2, "b", 3, FileKind::Directory).unwrap();
    mount.create(2, "f", 4, FileKind::Regular).unwrap();
    assert_eq!([1, 2, 3].map(|ino| mount.metadata.get_parent(Ino(ino)).unwrap()), [1, 1, 2].map(Ino));
    assert_eq!(mount.metadata.get_parent(Ino(4)), Err(MetaError::Refused(Errno::ENOTDIR)));
    mount.rename((2, "b"), (1, "b")).unwrap();
    assert_eq!(mount.metadata.get_parent(Ino(3)), Ok(Ino(1)));
    mount.rmdir(1, "b", &[Ino(3)]).unwrap();
    assert_eq!(mount.metadata.get_parent(Ino(3)), Err(MetaError::Refused(Errno::ENOENT)));
}
