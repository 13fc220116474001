//! Whether a volume's metadata is what it should be (`shoal fsck`), and which objects it needs (`shoal gc`).
//!
//! Every key is looked at once, in order; kept in memory is a little for each inode and each object. The check changes
//! nothing and repairs nothing.
//!
//! A volume may be in use meanwhile. On an engine whose reads are local everything is read at one snapshot, and the check
//! is exact. On others each batch is read at its own moment; then findings are looked for a second time, and only what
//! both passes tell in the same words is reported. That is exact on a quiet volume; on a busy one, damage to what is being
//! changed just then can be passed over.

mod accounts;
mod census;
mod finding;
mod inode;
mod paths;
mod totals;
mod tree;
mod walk;

pub use accounts::{AccountCheck, Count, accounts};
pub use census::{Census, Part, Verdict, objects, parts};
pub use finding::{Finding, Problem};

use crate::{MetaResult, Metadata};
use shoal_kv::{Kv, Reader};
use std::collections::BTreeSet;
use walk::ReadEach;

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// In the order of discovery, at most `FINDINGS_MAX`.
    pub findings: Vec<Finding>,
    /// Findings beyond that.
    pub unlisted: u64,
    pub inodes: u64,
    pub directories: u64,
    /// Regular ones.
    pub files: u64,
    /// Allocated by files: inline and in objects.
    pub bytes: u64,
    /// That files refer to.
    pub objects: u64,
}

/// Looks at the whole volume. `progress` is told the number of records seen so far.
pub fn run(metadata: &Metadata, progress: &mut dyn FnMut(u64)) -> MetaResult<Report> {
    if metadata.kv().reads_are_local() {
        return metadata.at_snapshot(|reader| walk::pass(reader, progress));
    }
    run_in_batches(metadata.kv().as_ref(), progress)
}

fn run_in_batches(kv: &dyn Kv, progress: &mut dyn FnMut(u64)) -> MetaResult<Report> {
    let mut first = walk::pass(&mut ReadEach(kv), progress)?;
    if first.findings.is_empty() {
        return Ok(first);
    }
    let second = walk::pass(&mut ReadEach(kv), progress)?;
    let again: BTreeSet<String> = second.findings.iter().map(Finding::to_string).collect();
    first.findings.retain(|finding| again.contains(&finding.to_string()));
    first.unlisted = first.unlisted.min(second.unlisted);
    Ok(first)
}

impl Report {
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    fn add(&mut self, ino: Option<shoal_types::Ino>, problem: Problem) {
        match self.findings.len() < FINDINGS_MAX {
            true => self.findings.push(Finding { problem, ino, path: None }),
            false => self.unlisted += 1,
        }
    }
}

/// Snapshot or one read each: what the walk reads from.
type Source<'a> = &'a mut dyn Reader;

const FINDINGS_MAX: usize = 10_000;
