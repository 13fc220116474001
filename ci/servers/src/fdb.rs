//! FoundationDB: a real cluster where one is given, otherwise our stand-in for it.
//!
//! A real one is given by `FDB_CLUSTER_FILE`, its client library by `FDB_CLIENT_LIB_PATH` or the system. The stand-in
//! (`ci/fdb-standin`) is built here, beside the tests; it shows that our engine keeps to FoundationDB's contract, and nothing
//! about FoundationDB itself.

use crate::program::Program;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use tempfile::TempDir;

pub struct FoundationDb {
    /// How often the stand-in fails by order.
    faults: Vec<String>,
    /// Of files that name the stand-in, as those of clusters do.
    cluster_files: TempDir,
    real: Option<PathBuf>,
}

impl Default for FoundationDb {
    fn default() -> Self {
        let real = FoundationDb::real_cluster();
        match &real {
            Some(path) => eprintln!("foundationdb: on the real cluster of {}", path.display()),
            None => eprintln!("foundationdb: on our stand-in, as FDB_CLUSTER_FILE names no cluster"),
        }
        FoundationDb { real, ..FoundationDb::failing(&[]) }
    }
}

impl FoundationDb {
    /// The stand-in, in any case, with faults such as `("--unknown-committed", 0.05)`: see its program.
    pub fn failing(faults: &[(&str, f64)]) -> Self {
        let faults = faults.iter().flat_map(|(name, share)| [name.to_string(), share.to_string()]).collect();
        let cluster_files = tempfile::Builder::new().prefix("shoal-fdb-").tempdir().expect("a folder can be made");
        FoundationDb { faults, cluster_files, real: None }
    }

    pub fn real_cluster() -> Option<PathBuf> {
        std::env::var_os("FDB_CLUSTER_FILE").map(PathBuf::from)
    }
}

/// A real cluster is not ours to start and kill: in its place stands a program that does nothing.
impl Program for FoundationDb {
    fn prepare(&self, _: &Path) {
        if self.real.is_none() {
            LazyLock::force(&BUILT);
        }
    }

    fn command(&self, folder: &Path, port: u16) -> Command {
        if self.real.is_some() {
            let mut command = Command::new("sleep");
            command.arg("infinity");
            return command;
        }
        let mut command = Command::new(BUILT.join("shoal-fdb-standin"));
        command.args(["--port", &port.to_string(), "--log"]).arg(folder.join("commits")).args(&self.faults);
        command
    }

    fn probe(&self, _: &Path, port: u16) -> Command {
        if self.real.is_some() {
            return Command::new("true");
        }
        let mut command = Command::new(BUILT.join("shoal-fdb-standin"));
        command.args(["--probe", &port.to_string()]);
        command
    }

    /// Volumes on a real cluster are new ones in each run, and stay.
    fn url(&self, port: u16, prefix: &str) -> String {
        if let Some(cluster_file) = &self.real {
            return format!("fdb://{}?prefix=test-{}-{port}-{prefix}", cluster_file.display(), std::process::id());
        }
        let cluster_file = self.cluster_files.path().join(format!("{port}.cluster"));
        std::fs::write(&cluster_file, format!("standin:{port}@127.0.0.1:{port}\n")).expect("there is room");
        let library = BUILT.join("libshoal_ci_fdb_standin.so");
        format!("fdb://{}?prefix={prefix}&library={}", cluster_file.display(), library.display())
    }
}

/// Where the stand-in's program and library are.
static BUILT: LazyLock<PathBuf> = LazyLock::new(|| {
    let program = std::env::current_exe().expect("a running program has a file");
    let folder = program.parent().expect("a program lies in a folder");
    // Programs lie in the profile's folder, tests in its `deps`.
    let folder = if folder.ends_with("deps") { folder.parent() } else { Some(folder) };
    let folder = folder.expect("`deps` lies in the profile's folder").to_path_buf();
    let target = folder.parent().expect("a profile's folder lies in the target folder");
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.args(["build", "--quiet", "--locked", "-p", "shoal-ci-fdb-standin", "--target-dir"]).arg(target);
    if folder.ends_with("release") {
        build.arg("--release");
    }
    build.current_dir(env!("CARGO_MANIFEST_DIR"));
    let built = build.status().expect("cargo runs");
    assert!(built.success(), "the stand-in for FoundationDB is built");
    folder
});
