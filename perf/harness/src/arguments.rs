//! The command line, and the settings of a run that follow from it.

use clap::Parser;
use serde::Serialize;
use std::path::PathBuf;

/// Measures ShoalFS against the null server (the floor of what FUSE costs) and a plain folder on the same disk
///
/// The same work on each, in turns, round after round. Prints a table of medians and ratios; writes JSON and a plot.
#[derive(Parser, Debug)]
#[command(
    name = "perf/run",
    max_term_width = 110,
    args_override_self = true,
    after_help = "\
Examples:
  perf/run                                  # everything: about half an hour
  perf/run --quick                          # small files, three rounds: does it work at all?
  perf/run --only metadata --rounds 10
  perf/run --targets null,plain             # what FUSE costs here, without ShoalFS
  perf/run --only store-read --store 's3://bucket/empty?endpoint=http://127.0.0.1:9000'
  perf/run --only many-mounts --metadata redis://127.0.0.1:6379/0
  perf/run --check                          # fails unless every floor is met"
)]
pub struct Arguments {
    /// Rounds of each workload [default: 5; quick: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: Option<u32>,
    /// Small files and few rounds
    #[arg(long)]
    pub quick: bool,
    /// Only workloads whose name begins so; may be given several times
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// List the workloads and end
    #[arg(long)]
    pub list: bool,
    /// What to measure
    #[arg(long, value_delimiter = ',', default_value = "shoal,null,plain")]
    pub targets: Vec<TargetKind>,
    /// MiB of the files that fio reads and writes [default: 1024; quick: 64]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(8..=1_048_576))]
    pub file_mib: Option<u64>,
    /// Files of each thread in the metadata run [default: 2000; quick: 200]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub files: Option<u32>,
    /// Threads of the metadata run [default: 1,2,4,8; quick: 1,8]
    #[arg(long, value_delimiter = ',', value_name = "N,…", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Vec<u16>,
    /// A folder on the disk to measure; what is made in it is removed again
    #[arg(long, value_name = "DIR", default_value = "target/perf")]
    pub dir: PathBuf,
    /// A folder in memory, for the cache whose disk is not to be measured
    #[arg(long, value_name = "DIR", default_value = "/dev/shm")]
    pub memory_dir: PathBuf,
    /// An empty place in an object store, for store-read; what opens it comes from the environment, as for shoal format. It is
    /// empty again afterwards
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
    /// An empty place for metadata, for many-mounts; it is empty again afterwards
    #[arg(long, value_name = "META-URL")]
    pub metadata: Option<String>,
    /// Folder of the built binaries shoal and shoal-null
    #[arg(long, value_name = "DIR", default_value = "target/release")]
    pub bin_dir: PathBuf,
    /// The JSON to write; the plot goes beside it [default: perf/results/<date>-<host>.json]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Exit with 1 unless every floor that was measured is met
    #[arg(long)]
    pub check: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetKind {
    Shoal,
    Null,
    Plain,
}

impl TargetKind {
    pub fn name(self) -> &'static str {
        match self {
            TargetKind::Shoal => "shoal",
            TargetKind::Null => "null",
            TargetKind::Plain => "plain",
        }
    }
}

/// How much work there is.
#[derive(Clone, Debug, Serialize)]
pub struct Settings {
    pub targets: Vec<TargetKind>,
    pub rounds: usize,
    pub file_bytes: u64,
    /// The longest that one random read job runs.
    pub random_seconds: u32,
    pub metadata_files_per_thread: usize,
    pub metadata_threads: Vec<usize>,
    pub tree_files_max: usize,
    /// Without secrets.
    pub store: Option<String>,
    /// Without secrets.
    pub metadata: Option<String>,
}

impl Arguments {
    pub fn settings(&self) -> Settings {
        let pick = |quick: usize, usual: usize| if self.quick { quick } else { usual };
        let threads: Vec<usize> = self.threads.iter().map(|threads| usize::from(*threads)).collect();
        let usual_threads = || if self.quick { vec![1, 8] } else { vec![1, 2, 4, 8] };
        Settings {
            targets: self.targets.clone(),
            rounds: self.rounds.map_or(pick(3, 5), |rounds| rounds as usize),
            file_bytes: self.file_mib.unwrap_or(pick(64, 1024) as u64) << 20,
            random_seconds: pick(2, 6) as u32,
            metadata_files_per_thread: self.files.map_or(pick(200, 2000), |files| files as usize),
            metadata_threads: if threads.is_empty() { usual_threads() } else { threads },
            tree_files_max: pick(1_000, 12_000),
            store: self.store.clone(),
            metadata: self.metadata.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_declarations_are_consistent_and_defaults_follow_quick() {
        Arguments::command().debug_assert();
        let settings = |given: &[&str]| Arguments::parse_from([&["run"], given].concat()).settings();
        let usual = settings(&[]);
        assert_eq!((usual.rounds, usual.file_bytes), (5, 1 << 30));
        let quick = settings(&["--quick", "--threads", "3,4", "--targets", "null"]);
        assert_eq!((quick.rounds, quick.file_bytes, quick.metadata_threads), (3, 64 << 20, vec![3, 4]));
        assert_eq!(quick.targets, [TargetKind::Null]);
    }
}
