//! The same shell scripts on a mount and in a plain folder of this machine, which must not be told apart: every line
//! printed, every message with its errno, every exit status.
//!
//! Relies on the folder for temporary files lying on a file system with extended attributes and ACLs (ext4, XFS). A script
//! runs in an empty folder, as root where the test does. `as_user` runs a command as a user without rights or groups.

use shoal_ci_testbed::{Bed, Daemon, Finished};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub struct Twins {
    bed: Bed,
    daemon: Daemon,
    local: PathBuf,
}

const PRELUDE: &str = "
umask 022
as_user() { setpriv --reuid=65534 --regid=65534 --clear-groups -- \"$@\"; }
as_member() { setpriv --reuid=65534 --regid=65534 --groups=4242 -- \"$@\"; }
mode() { stat -c '%A %u:%g %n' \"$@\"; }
try() { \"$@\" || echo \"status $?\"; }
";

impl Twins {
    pub fn new(mount_options: &[&str]) -> Self {
        let bed = Bed::new(&[]);
        let local = bed.path("local");
        fs::create_dir(&local).expect("a new folder takes another");
        // Others than root may not let others in, and can't become others either: the scripts then fail alike.
        let allow_other: &[&str] = if rustix::process::geteuid().is_root() { &["--allow-other"] } else { &[] };
        let daemon = bed.mount(&[mount_options, allow_other].concat());
        // For the user without rights, who has to get here.
        for folder in [bed.path("."), bed.mount_point()] {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("our folder takes a mode");
        }
        Twins { bed, daemon, local }
    }

    /// The folders to compare: of this machine, and on the mount.
    pub fn folders(&self) -> [PathBuf; 2] {
        [self.local.clone(), self.bed.mount_point()]
    }

    pub fn shoal(&self, arguments: &[&OsStr]) -> Finished {
        self.bed.shoal(arguments)
    }

    /// Runs each named script on both sides, all of them before it complains.
    #[track_caller]
    pub fn compare(&self, scripts: &[(&str, &str)]) {
        self.compare_with(scripts, |_| ());
    }

    /// The same, each script's folder made ready before, until what that gives is dropped.
    #[track_caller]
    pub fn compare_with<T>(&self, scripts: &[(&str, &str)], prepare: impl Fn(&Path) -> T) {
        let mut differences = String::new();
        for (number, (name, script)) in scripts.iter().enumerate() {
            let [local, mounted] = self.folders().map(|folder| {
                let folder = folder.join(format!("{number}"));
                fs::create_dir(&folder).expect("a new folder for each script");
                let _ready = prepare(&folder);
                run(&folder, script)
            });
            if local != mounted {
                differences += &format!("--- {name}\nthe plain folder:\n{local}\nthe mount:\n{mounted}\n");
            }
        }
        assert_eq!(differences, "");
    }

    /// What a script prints in one of the folders, or below.
    pub fn print(&self, folder: &Path, script: &str) -> String {
        run(folder, script)
    }

    pub fn end(self) {
        assert!(self.daemon.stop().success(), "{}", self.bed.log());
        self.bed.check();
    }
}

fn run(folder: &Path, script: &str) -> String {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec 2>&1\n{PRELUDE}\n{script}")]).current_dir(folder).env("LC_ALL", "C");
    let output = command.stdin(Stdio::null()).output().expect("there is a shell");
    format!("{}{}", String::from_utf8_lossy(&output.stdout), output.status)
}
