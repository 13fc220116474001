//! What is measured: started for a setup, and stopped when dropped, whatever happened in between.

mod mounts;
mod null;
mod plain;
mod shoal;

use crate::arguments::TargetKind;
use crate::failure::{Failure, Outcome};
use std::path::{Path, PathBuf};

/// How the targets are mounted. Where a target has no such setting (a plain folder), it is as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// Cache on the disk, attributes and names cached by the kernel for a second.
    Usual,
    /// The local cache in memory, so that no disk is measured.
    CacheInMemory,
    /// The kernel asks for every attribute and name.
    NoAttributeCache,
    /// Objects in the store of `--store`, and no local cache.
    OnStore,
    /// Several mounts of one volume, whose metadata is on the server of `--metadata`.
    ManyMounts,
    /// As usual, but mounted read-only once the content is there (`Running::make_read_only`).
    ReadOnly,
}

impl Setup {
    /// In the order in which they are measured.
    pub const ALL: [Setup; 6] = [
        Setup::Usual,
        Setup::ReadOnly,
        Setup::CacheInMemory,
        Setup::NoAttributeCache,
        Setup::OnStore,
        Setup::ManyMounts,
    ];
}

/// Where targets are made and what they are made of.
#[derive(Debug)]
pub struct Ground {
    /// A folder of this run on the disk to measure.
    pub disk: PathBuf,
    /// A folder of this run in memory.
    pub memory: PathBuf,
    pub binaries: PathBuf,
    pub cache_bytes: u64,
    /// The URL of an object store that nobody else uses.
    pub store: Option<String>,
    /// The URL of a place for metadata that nobody else uses.
    pub metadata: Option<String>,
}

/// A target that runs: a folder to work in.
pub struct Running {
    pub kind: TargetKind,
    pub root: PathBuf,
    /// The same through other mounts.
    pub other_roots: Vec<PathBuf>,
    /// Where its local cache lies, if it has one.
    pub cache: Option<PathBuf>,
    stop: Box<dyn Stop>,
}

/// Stops the target when dropped.
trait Stop {
    fn make_read_only(&self) -> Outcome<()> {
        Err(Failure::new("this target can't be mounted read-only"))
    }

    fn mount_anew(&self) -> Outcome<()> {
        Err(Failure::new("this target can't be mounted anew"))
    }
}

pub fn start(kind: TargetKind, setup: Setup, ground: &Ground) -> Outcome<Running> {
    match kind {
        TargetKind::Shoal => shoal::start(setup, ground),
        TargetKind::Null => null::start(setup, ground),
        TargetKind::Plain => plain::start(ground),
    }
}

impl Running {
    /// Mounted anew, so that nothing can be written any more.
    pub fn make_read_only(&self) -> Outcome<()> {
        self.stop.make_read_only()
    }

    /// Unmounted and mounted again: nothing of it is in anybody's memory.
    pub fn mount_anew(&self) -> Outcome<()> {
        self.stop.mount_anew()
    }

    /// Everything written so far reaches its disk, so that one target's write-back does not slow the next one down.
    pub fn settle(&self) -> Outcome<()> {
        use crate::failure::During;
        use rustix::fs::{Mode, OFlags};
        let open = rustix::fs::open(&self.root, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let folder = open.during(self.root.display())?;
        rustix::fs::syncfs(folder).during(format_args!("syncing {}", self.root.display()))
    }
}

/// A new, empty folder.
fn fresh_folder(path: &Path) -> Outcome<PathBuf> {
    use crate::failure::During;
    std::fs::create_dir_all(path).during(path.display())?;
    tempfile::Builder::new().prefix("").tempdir_in(path).map(|folder| folder.keep()).during(path.display())
}
