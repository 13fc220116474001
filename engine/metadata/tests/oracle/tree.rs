//! The whole tree as `Metadata` shows it, in the form of the oracle's dump.

use shoal_metadata::{DirectoryEntry, Metadata};
use shoal_oracle::{NodeDescription, content_hash};
use shoal_types::{Attributes, FileKind, Ino};
use std::collections::BTreeMap;

pub fn tree(metadata: &Metadata) -> BTreeMap<Vec<u8>, NodeDescription> {
    let mut inos = BTreeMap::new();
    collect(metadata, Vec::new(), Ino::ROOT, &mut inos);
    let mut first_paths: BTreeMap<Ino, Vec<u8>> = BTreeMap::new();
    inos.into_iter()
        .map(|(path, ino)| {
            let first_path = first_paths.entry(ino).or_insert_with(|| path.clone()).clone();
            (path, describe(metadata, ino, first_path))
        })
        .collect()
}

/// All entries, read in pages of at least this many.
pub fn list(
    metadata: &Metadata,
    ino: Ino,
    limit: usize,
    attributes: bool,
) -> Result<Vec<DirectoryEntry>, shoal_metadata::MetaError> {
    let mut entries: Vec<DirectoryEntry> = Vec::new();
    loop {
        let cookie = entries.last().map_or(0, |entry| entry.cookie);
        let page = metadata.read_directory(ino, cookie, limit, attributes)?;
        entries.extend(page.entries);
        if page.end {
            return Ok(entries);
        }
    }
}

fn collect(metadata: &Metadata, path: Vec<u8>, ino: Ino, inos: &mut BTreeMap<Vec<u8>, Ino>) {
    if metadata.get_attributes(ino).unwrap().kind == FileKind::Directory {
        for entry in list(metadata, ino, 3, false).unwrap() {
            let separator = if path.is_empty() { &b""[..] } else { b"/" };
            collect(metadata, [&path, separator, entry.name.as_bytes()].concat(), entry.ino, inos);
        }
    }
    inos.insert(path, ino);
}

fn describe(metadata: &Metadata, ino: Ino, first_path: Vec<u8>) -> NodeDescription {
    let attributes = metadata.get_attributes(ino).unwrap();
    let Attributes { kind, mode, uid, gid, rdev, nlink, length, .. } = attributes;
    let content_hash = (kind == FileKind::Regular).then(|| content_hash(&content(metadata, ino, length)));
    let target = (kind == FileKind::Symlink).then(|| metadata.read_link(ino).unwrap());
    NodeDescription { kind, mode, uid, gid, rdev, nlink, length, content_hash, target, first_path }
}

/// Of a file without slices: what is inline, and zeros behind it.
fn content(metadata: &Metadata, ino: Ino, length: u64) -> Vec<u8> {
    let content = metadata.get_content(ino).unwrap();
    assert!(!content.has_chunks(), "the operations of this test write inline");
    let mut bytes = content.inline.unwrap_or_default();
    bytes.resize(length as usize, 0);
    bytes
}
