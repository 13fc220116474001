//! The work: each workload prepares a target once and then does the same thing in every round.

mod content;
mod many_mounts;
mod metadata;
mod object_encoding;
mod random_read;
mod sequential;
mod source_tree;
mod store_read;

use crate::arguments::{Settings, TargetKind};
use crate::failure::Outcome;
use crate::results::Measured;
use crate::targets::{Ground, Running, Setup};

pub trait Workload {
    /// What its metrics begin with.
    fn name(&self) -> &'static str;

    /// What it measures, in one line.
    fn about(&self) -> &'static str;

    fn setup(&self) -> Setup {
        Setup::Usual
    }

    /// Which targets it tells something about.
    fn concerns(&self, _target: TargetKind) -> bool {
        true
    }

    /// A reason not to run it here at all. May make what all targets share, on the disk that is measured.
    fn obstacle(&mut self, _settings: &Settings, _ground: &Ground) -> Outcome<Option<String>> {
        Ok(None)
    }

    /// Once a target, before the rounds.
    fn prepare(&self, _target: &Running, _settings: &Settings) -> Outcome<()> {
        Ok(())
    }

    /// One round. Leaves the target as `prepare` left it.
    fn run(&self, target: &Running, settings: &Settings) -> Outcome<Vec<Measured>>;

    /// Once a target, after the rounds.
    fn clean_up(&self, _target: &Running) -> Outcome<()> {
        Ok(())
    }
}

/// Every workload, in the order in which they run within their setup.
pub fn all() -> Vec<Box<dyn Workload>> {
    vec![
        Box::new(sequential::Write),
        Box::new(sequential::Read),
        Box::new(random_read::RandomRead),
        Box::new(random_read::DiskCache),
        Box::new(metadata::Metadata),
        Box::new(source_tree::SourceTree::default()),
        Box::new(object_encoding::ObjectEncoding::default()),
        Box::new(random_read::ReadOnlyDiskCache),
        Box::new(random_read::MemoryCache),
        Box::new(metadata::UncachedStat),
        Box::new(store_read::StoreRead),
        Box::new(many_mounts::ManyMounts),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<&str> = all().iter().map(|workload| workload.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all().len());
    }
}
