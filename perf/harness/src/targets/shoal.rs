//! ShoalFS itself: a fresh volume, its metadata and objects on the disk that is measured.

use super::mounts::{is_mounted, unmount_by_force};
use super::{Ground, Running, Setup, Stop, fresh_folder};
use crate::arguments::TargetKind;
use crate::failure::{During, Failure, Outcome};
use crate::interrupt;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const COMPLAINTS_MAX: usize = 20;

struct Volume {
    binary: PathBuf,
    folder: PathBuf,
    point: PathBuf,
    cache: PathBuf,
    cache_bytes: u64,
    /// Instead of a folder and a local cache.
    store: Option<String>,
}

impl Stop for Volume {
    fn mount_anew(&self) -> Outcome<()> {
        self.unmount()?;
        interrupt::run(&mut self.mount()).during("shoal mount").map(|_| ())
    }

    fn make_read_only(&self) -> Outcome<()> {
        self.unmount()?;
        interrupt::run(self.mount().arg("--read-only")).during("shoal mount --read-only").map(|_| ())
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        if is_mounted(&self.point) {
            tidy_up("umount", self.command(&["umount"]).arg(&self.point));
            unmount_by_force(&self.point);
        }
        self.tell_complaints();
        // Objects elsewhere don't go with the folder.
        if self.store.is_some() {
            tidy_up("destroy", &mut self.command(&["destroy", "--yes", &self.database()]));
        }
        for folder in [&self.cache, &self.folder] {
            if let Err(error) = std::fs::remove_dir_all(folder)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                eprintln!("perf: {} could not be removed: {error}", folder.display());
            }
        }
    }
}

impl Volume {
    /// A daemon that warned or failed has not done the work that was measured, and its log is removed with the volume.
    fn tell_complaints(&self) {
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        let complaints = log.lines().filter(|line| line.contains(" WARN ") || line.contains(" ERROR "));
        for line in complaints.take(COMPLAINTS_MAX) {
            eprintln!("perf: shoal logged: {line}");
        }
    }

    fn unmount(&self) -> Outcome<()> {
        interrupt::run(self.command(&["umount"]).arg(&self.point)).during("shoal umount").map(|_| ())
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Its own state, logs and caches lie with the volume, not with those of the user.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        for variable in ["XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME"] {
            command.env(variable, self.folder.join("home"));
        }
        command.args(arguments);
        command
    }

    fn database(&self) -> String {
        url("sqlite", &self.folder.join("volume.db"))
    }

    fn mount(&self) -> Command {
        let mut command = self.command(&["mount", &self.database()]);
        command.arg(&self.point).arg("--log-file").arg(self.log());
        if self.store.is_some() {
            command.arg("--no-cache");
            return command;
        }
        command.arg("--cache-dir").arg(&self.cache);
        command.args(["--cache-size", &format!("{}M", self.cache_bytes.div_ceil(1 << 20))]);
        // However full the disk is: what is measured is the cache.
        command.args(["--cache-free-ratio", "0"]);
        command
    }
}

/// Also after an interruption, which `interrupt::run` would refuse.
fn tidy_up(what: &str, command: &mut Command) {
    match command.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => eprintln!("perf: shoal {what}: {}", String::from_utf8_lossy(&output.stderr).trim()),
        Err(error) => eprintln!("perf: shoal {what}: {error}"),
    }
}

pub(super) fn start(setup: Setup, ground: &Ground) -> Outcome<Running> {
    let folder = fresh_folder(&ground.disk.join("shoal"))?;
    let point = folder.join("mnt");
    let cache = match setup {
        Setup::CacheInMemory => fresh_folder(&ground.memory)?,
        Setup::Usual | Setup::NoAttributeCache | Setup::ReadOnly | Setup::OnStore => folder.join("cache"),
    };
    let (binary, cache_bytes) = (ground.binaries.join("shoal"), ground.cache_bytes);
    let store = ground.store.clone().filter(|_| setup == Setup::OnStore);
    let volume = Volume { binary, folder: folder.clone(), point, cache, cache_bytes, store };
    for made in [&volume.point, &volume.cache, &folder.join("home")] {
        std::fs::create_dir_all(made).during(made.display())?;
    }
    mount(&volume, setup)?;
    if !is_mounted(&volume.point) {
        return Err(Failure::new(format_args!("shoal mount succeeded, but {} is no mount", volume.point.display())));
    }
    let (root, cache) = (volume.point.clone(), Some(volume.cache.clone()));
    Ok(Running { kind: TargetKind::Shoal, root, cache, stop: Box::new(volume) })
}

fn mount(volume: &Volume, setup: Setup) -> Outcome<()> {
    let database = volume.database();
    let objects = volume.store.clone().unwrap_or_else(|| url("file", &volume.folder.join("objects")));
    interrupt::run(&mut volume.command(&["format", &database, "bench", "--storage", &objects]))
        .during("shoal format")?;
    let mut command = volume.mount();
    if setup == Setup::NoAttributeCache {
        command.args(["--attr-timeout", "0", "--entry-timeout", "0"].map(OsStr::new));
    }
    interrupt::run(&mut command).during("shoal mount")?;
    Ok(())
}

fn url(scheme: &str, path: &Path) -> String {
    format!("{scheme}://{}", path.display())
}
