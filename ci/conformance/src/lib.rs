//! What people do with a file system, done on a real mount: see `tests/`.
//!
//! Most tests run programs that others wrote (git, go, cargo, fio, SQLite) and ask them, or a plain folder beside, whether
//! the result is right. `RandomFile` judges one file by a model in memory.

pub mod histories;
mod listing;
mod mapping;
mod random_file;
mod server;

pub use listing::Listing;
pub use mapping::Mapping;
pub use random_file::RandomFile;
pub use server::Server;

mod twins;
mod view;

pub use twins::Twins;
pub use view::{View, idmapped};

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// Runs a program to success; what it printed on standard output.
#[track_caller]
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let Output { status, stdout, stderr } = output;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let (stdout, stderr) = (text(stdout), text(stderr));
    assert!(status.success(), "{command:?}: {status}\n{stdout}\n{stderr}");
    stdout
}

/// `diff -r` has nothing to say.
#[track_caller]
pub fn assert_same_tree(one: &Path, other: &Path) {
    let differences = run(Command::new("diff").args(["-r", "--no-dereference"]).args([one, other]));
    assert_eq!(differences, "");
}

/// Copies a tree with everything cp can keep.
#[track_caller]
pub fn copy_tree(from: &Path, to: &Path) {
    run(Command::new("cp").arg("-a").args([from, to]));
}

/// The source folder of the Go toolchain on this machine, if there is one.
pub fn go_sources() -> Option<PathBuf> {
    let output = Command::new("go").args(["env", "GOROOT"]).output().ok()?;
    let root = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    Some(root.join("src")).filter(|sources| sources.is_dir())
}

/// The libraries of the Rust toolchain that built this.
pub fn rust_libraries() -> PathBuf {
    let root = run(Command::new("rustc").args(["--print", "sysroot"]));
    Path::new(root.trim()).join("lib")
}

/// Whether a test may become other users, mount and make devices. Says so if not.
pub fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("left out: this takes root");
    }
    is_root
}

/// Whether the long forms were asked for: `SHOAL_LONG=1`.
pub fn is_long() -> bool {
    std::env::var_os("SHOAL_LONG").is_some_and(|value| value == "1")
}

/// A program run as a user of this machine. Others than root can't become anybody else: they run it as themselves.
pub fn command_as(user: &str, program: impl AsRef<OsStr>) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={user}"), &format!("--regid={user}"), "--init-groups", "--"]).arg(program);
    command
}

/// Makes a folder that belongs to a user whom `command_as` can run programs as.
pub fn create_folder_of(user: &str, folder: &Path) {
    std::fs::create_dir(folder).expect("a new folder");
    if rustix::process::geteuid().is_root() {
        run(Command::new("chown").arg(format!("{user}:")).arg(folder));
    }
}

/// Asks until the answer is yes.
#[track_caller]
pub fn wait_until(patience: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !condition() {
        assert!(Instant::now() < deadline, "waited {patience:?} for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
