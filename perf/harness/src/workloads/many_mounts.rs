//! The metadata run in one shared folder, by eight threads spread over one, two and four mounts of a volume whose metadata is
//! on a server: does a volume do more when more mounts work on it?
//!
//! The kernel makes one name at a time in a folder of a mount, so a single mount waits for each answer.

use super::Workload;
use super::metadata::rate;
use crate::arguments::{Settings, TargetKind};
use crate::failure::Outcome;
use crate::metadata_run::{self, Layout, Plan};
use crate::results::Measured;
use crate::targets::{Running, Setup};
use std::path::PathBuf;

pub(super) struct ManyMounts;

const THREADS: usize = 8;
const ONE: &str = "one-mount";

impl Workload for ManyMounts {
    fn name(&self) -> &'static str {
        "many-mounts"
    }

    fn about(&self) -> &'static str {
        "the metadata run in one folder through two and four mounts of a volume, beside one; needs --metadata"
    }

    fn setup(&self) -> Setup {
        Setup::ManyMounts
    }

    fn concerns(&self, target: TargetKind) -> bool {
        target == TargetKind::Shoal
    }

    fn run(&self, target: &Running, settings: &Settings) -> Outcome<Vec<Measured>> {
        let roots: Vec<PathBuf> = std::iter::once(&target.root).chain(&target.other_roots).cloned().collect();
        let files_per_thread = settings.metadata_files_per_thread.div_ceil(4);
        let plan = Plan { layout: Layout::Shared, threads: THREADS, files_per_thread };
        let one = metadata_run::run(&roots[..1], plan)?;
        let mut measured = Vec::new();
        for mounts in [2, roots.len()] {
            let many = metadata_run::run(&roots[..mounts], plan)?;
            for (one, many) in one.iter().zip(&many) {
                let metric = format!("{}/{}/{mounts}", self.name(), many.phase.name());
                measured.push(rate(metric.clone(), many));
                measured.push(Measured { instead_of_target: Some(ONE), ..rate(metric, one) });
            }
        }
        Ok(measured)
    }
}
