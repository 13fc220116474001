//! Names and paths for findings, looked up afterwards: names are too many to be kept in memory for all.

use super::tree::Tree;
use super::{Problem, Report, Source};
use crate::TrashName;
use crate::keys::{self, Key};
use crate::records::Dirent;
use shoal_kv::{Direction, KvResult};
use shoal_types::{FileKind, Ino};
use std::collections::BTreeSet;

/// Fills in the names of entries that lead to the wrong thing.
pub(super) fn name_entries(source: Source, report: &mut Report) -> KvResult<()> {
    for finding in &mut report.findings {
        let Some(parent) = finding.ino else { continue };
        match &mut finding.problem {
            Problem::DanglingEntry { name, target } => {
                *name = find_name(source, parent, *target, None)?.unwrap_or_default();
            }
            Problem::EntryKind { name, target, inode } => {
                *name = find_name(source, parent, *target, Some(*inode))?.unwrap_or_default();
            }
            _ => {}
        }
    }
    Ok(())
}

/// Fills in paths, as far as names lead up to the root, for the first findings.
pub(super) fn add_paths(source: Source, tree: &Tree, report: &mut Report) -> KvResult<()> {
    for finding in report.findings.iter_mut().take(PATHS_MAX) {
        if let Some(ino) = finding.ino {
            finding.path = path_of(source, tree, ino)?;
        }
    }
    Ok(())
}

fn path_of(source: Source, tree: &Tree, ino: Ino) -> KvResult<Option<Vec<u8>>> {
    let mut names = Vec::new();
    let mut passed = BTreeSet::new();
    let mut at = ino;
    while at != Ino::ROOT {
        if at == Ino::TRASH {
            names.push(TrashName::of_all().as_bytes().to_vec());
            break;
        }
        let Some(parent) = tree.names.get(&at).map(|names| names.parent) else { return Ok(None) };
        let Some(name) = find_name(source, parent, at, None)? else { return Ok(None) };
        if !passed.insert(at) {
            return Ok(None);
        }
        names.push(name);
        at = parent;
    }
    names.reverse();
    Ok(Some([&b"/"[..], &names.join(&b'/')].concat()))
}

/// The first entry of the directory that leads to the inode, if asked for with another kind than this.
fn find_name(source: Source, parent: Ino, target: Ino, other_than: Option<FileKind>) -> KvResult<Option<Vec<u8>>> {
    let mut range = keys::dirents(parent);
    loop {
        let pairs = source.scan(&range, BATCH, Direction::Forward)?;
        for (key, value) in &pairs {
            if let (Some(Key::Dirent(_, _, name)), Ok(entry)) = (Key::parse(key), Dirent::decode(value))
                && entry.ino == target
                && other_than.is_none_or(|kind| entry.kind != kind)
            {
                return Ok(Some(name.to_vec()));
            }
        }
        match pairs.last() {
            Some((last, _)) if pairs.len() == BATCH => range = keys::behind(last, &range),
            _ => return Ok(None),
        }
    }
}

const BATCH: usize = 1000;
/// A path costs a look through each directory on it.
const PATHS_MAX: usize = 1000;
