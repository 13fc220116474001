//! A folder with a volume, a mount point and everything the program keeps for a user inside.

use crate::{Daemon, program};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

pub struct Bed {
    folder: TempDir,
    program: PathBuf,
    /// Of a server that holds the metadata, if one does.
    server: Option<String>,
    /// What every command of the program is told by its environment.
    environment: Vec<(OsString, OsString)>,
}

/// A command that ran to its end.
#[derive(Debug)]
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Bed {
    /// A formatted volume, not mounted.
    pub fn new(format_options: &[&str]) -> Self {
        Bed::within(&std::env::temp_dir(), format_options)
    }

    /// As `new`, on the disk that `place` lies on.
    pub fn within(place: &Path, format_options: &[&str]) -> Self {
        Bed::made(place, None, None, &[], format_options)
    }

    /// A formatted volume whose objects are at this storage URL, which these variables open.
    pub fn on_store(url: &str, environment: &[(&str, &OsStr)], format_options: &[&str]) -> Self {
        Bed::made(&std::env::temp_dir(), None, Some(url), environment, format_options)
    }

    /// A formatted volume whose metadata is at this META-URL on a server.
    pub fn on_server(url: &str) -> Self {
        Bed::made(&std::env::temp_dir(), Some(url.to_string()), None, &[], &[])
    }

    /// Tells every command this too.
    pub fn with_environment(mut self, environment: &[(&str, &OsStr)]) -> Self {
        self.environment.extend(environment.iter().map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// Tells commands nothing of its own any more.
    pub fn without_environment(mut self) -> Self {
        self.environment.clear();
        self
    }

    fn made(
        place: &Path,
        server: Option<String>,
        storage: Option<&str>,
        environment: &[(&str, &OsStr)],
        format_options: &[&str],
    ) -> Self {
        let folder = tempfile::Builder::new().prefix("shoal-bed-").tempdir_in(place).expect("a temporary folder");
        let environment = environment.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let bed = Bed { folder, program: program::find(), server, environment };
        std::fs::create_dir(bed.mount_point()).expect("a new folder takes a mount point");
        let url = bed.url();
        let beside = format!("file://{}", bed.path("volume.objects").display());
        let storage = storage.unwrap_or(&beside);
        let beside = ["format", url.as_str(), "bed", "--storage", storage];
        bed.shoal(&[&beside, format_options].concat()).expect_code(0);
        bed
    }

    pub fn url(&self) -> String {
        let beside = || format!("sqlite://{}", self.path("volume.db").display());
        self.server.clone().unwrap_or_else(beside)
    }

    pub fn mount_point(&self) -> PathBuf {
        self.path("mnt")
    }

    /// A path beside the volume: outside of the mount.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a command of the program to its end.
    pub fn shoal(&self, arguments: &[impl AsRef<OsStr>]) -> Finished {
        finish(self.command().args(arguments))
    }

    /// The same with so many bytes of memory of its own at most.
    pub fn shoal_within(&self, memory_max: u64, arguments: &[impl AsRef<OsStr>]) -> Finished {
        let command = self.command();
        let mut bounded = Command::new("prlimit");
        bounded.arg(format!("--data={memory_max}")).arg(command.get_program()).args(arguments);
        bounded.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        finish(&mut bounded)
    }

    /// Mounts in the foreground, so that the daemon is a child that can be killed; returns once it serves.
    pub fn mount(&self, options: &[&str]) -> Daemon {
        self.mount_at(self.mount_point(), "log", options)
    }

    /// A second mount of the same volume, at the path `second`.
    pub fn mount_second(&self, options: &[&str]) -> Daemon {
        let mount_point = self.path("second");
        std::fs::create_dir_all(&mount_point).expect("a folder takes another mount point");
        self.mount_at(mount_point, "second-log", options)
    }

    /// One of several mounts of the volume, at the path `mnt-NUMBER`.
    pub fn mount_number(&self, number: usize, options: &[&str]) -> Daemon {
        let mount_point = self.path(&format!("mnt-{number}"));
        // It's there already if an earlier daemon was killed, and can't be looked at then.
        if let Err(error) = std::fs::create_dir(&mount_point) {
            assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists, "a folder takes another mount point: {error}");
        }
        self.mount_at(mount_point, &format!("log-{number}"), options)
    }

    fn mount_at(&self, mount_point: PathBuf, log: &str, options: &[&str]) -> Daemon {
        let mut command = self.command();
        command.arg("mount").arg(self.url()).arg(&mount_point).arg("--foreground").args(options);
        command.arg("--cache-dir").arg(self.path("cache")).arg("--log-file").arg(self.path(log));
        // However full the disk of this machine is.
        command.args(["--cache-free-ratio", "0"]);
        Daemon::start(command, mount_point)
    }

    /// The checks that hold for a volume at rest, whatever happened to it.
    pub fn check(&self) {
        self.shoal(&["fsck", &self.url()]).expect_code(0);
        let garbage = self.shoal(&["gc", &self.url()]);
        assert!(matches!(garbage.code, Some(0 | 1)), "gc came to an end: {garbage:?}");
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// The program, with all it keeps for a user inside of this bed.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        for (variable, name) in [
            ("HOME", "home"),
            ("XDG_DATA_HOME", "data"),
            ("XDG_CACHE_HOME", "caches"),
            ("XDG_STATE_HOME", "state"),
            ("XDG_RUNTIME_DIR", "runtime"),
        ] {
            command.env(variable, self.path(name));
        }
        command
    }
}

fn finish(command: &mut Command) -> Finished {
    let output = command.stdin(Stdio::null()).output().expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Finished { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

impl Drop for Bed {
    fn drop(&mut self) {
        // A daemon unmounts by itself; this is for the mount of one that was killed.
        let numbered = (0..4).map(|number| self.path(&format!("mnt-{number}")));
        for mount_point in [self.mount_point(), self.path("second")].into_iter().chain(numbered) {
            let _ = Command::new("umount").arg("-l").arg(mount_point).stderr(Stdio::null()).status();
        }
    }
}

impl Finished {
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        self
    }
}
