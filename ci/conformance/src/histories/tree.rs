//! What is left in the end: every name with what it stands for.

use super::answer::Seen;
use super::folder::{data_ranges, entries, seen};
use super::kernel::Kernel;
use rustix::fs::{self, AtFlags, CWD, Mode, OFlags, StatxFlags};
use shoal_oracle::content_hash_of;
use shoal_types::{FileKind, Ino};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    seen: Seen,
    /// Tells hard links from copies.
    first_path: Vec<u8>,
    content_hash: Option<u64>,
    target: Option<Vec<u8>>,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

pub fn of_oracle(kernel: &Kernel) -> BTreeMap<Vec<u8>, Node> {
    let mut tree = BTreeMap::new();
    for (path, description) in kernel.oracle.tree() {
        let ino = find(kernel, &path);
        let xattrs =
            kernel.oracle.list_xattrs(ino).expect("it's there").into_iter().map(|name| {
                (name.as_bytes().to_vec(), kernel.oracle.get_xattr(ino, &name).expect("it was just listed"))
            });
        let node = Node {
            seen: kernel.seen(ino),
            first_path: description.first_path,
            content_hash: description.content_hash,
            target: description.target,
            xattrs: xattrs.collect(),
        };
        tree.insert(path, node);
    }
    tree
}

fn find(kernel: &Kernel, path: &[u8]) -> Ino {
    let names = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty());
    names.fold(Ino::ROOT, |at, name| kernel.lookup(at, name).expect("the tree names what is there"))
}

pub fn of_folder(folder: &Path) -> BTreeMap<Vec<u8>, Node> {
    let mut paths = Vec::new();
    let root = fs::open(folder, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).expect("the folder is there");
    collect(&root, &[], &mut paths);
    let mut first_paths: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    let mut tree = BTreeMap::new();
    paths.sort();
    for path in paths {
        let absolute = if path.is_empty() { folder.into() } else { folder.join(std::ffi::OsStr::from_bytes(&path)) };
        let stat = fs::statx(CWD, &absolute, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS).expect("just listed");
        let seen = seen(&stat);
        let kind = seen.kind;
        let first_path = first_paths.entry(stat.stx_ino).or_insert_with(|| path.clone()).clone();
        let content_hash = (kind == FileKind::Regular).then(|| hash(&absolute));
        let target = (kind == FileKind::Symlink)
            .then(|| fs::readlinkat(CWD, &absolute, Vec::new()).expect("a link has a target").into_bytes());
        tree.insert(path, Node { seen, first_path, content_hash, target, xattrs: xattrs(&absolute) });
    }
    tree
}

fn collect(directory: &OwnedFd, path: &[u8], paths: &mut Vec<Vec<u8>>) {
    paths.push(path.to_vec());
    for (name, kind, _) in entries(directory).expect("root may list anything") {
        let below = if path.is_empty() { name.clone() } else { [path, b"/", &name].concat() };
        if kind == FileKind::Directory {
            let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
            let inner = fs::openat(directory, &*name, flags, Mode::empty()).expect("root may open anything");
            collect(&inner, &below, paths);
        } else {
            paths.push(below);
        }
    }
}

/// Holes are believed: a history that finds data in one has complained before.
fn hash(path: &Path) -> u64 {
    let file = File::open(path).expect("root may read anything");
    let length = file.metadata().expect("an open file has attributes").len();
    let whole = std::iter::once(0..length).collect();
    let ranges: Vec<_> = if length <= WHOLE_BYTES_MAX { whole } else { data_ranges(&file, 0).expect("it has bytes") };
    let parts = ranges.into_iter().map(|range| {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        file.read_exact_at(&mut bytes, range.start).expect("root may read anything");
        (range.start, bytes)
    });
    content_hash_of(length, parts)
}

fn xattrs(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut list = vec![0; XATTR_BYTES];
    let count = fs::llistxattr(path, &mut list).expect("attributes are listed");
    let names = list[..count].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names
        .map(|name| {
            let mut value = vec![0; XATTR_BYTES];
            let count = fs::lgetxattr(path, name, &mut value).expect("it was just listed");
            (name.to_vec(), value[..count].to_vec())
        })
        .collect()
}

/// Longer files are read where they have data.
const WHOLE_BYTES_MAX: u64 = 4 << 20;
const XATTR_BYTES: usize = 8192;
