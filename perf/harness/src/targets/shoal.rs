//! ShoalFS itself: a fresh volume, its metadata and objects on the disk that is measured unless they are told to be elsewhere.

use super::mounts::{is_mounted, unmount_by_force};
use super::{Ground, Running, Setup, Stop, fresh_folder};
use crate::arguments::TargetKind;
use crate::failure::{During, Failure, Outcome};
use crate::interrupt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const COMPLAINTS_MAX: usize = 20;
/// Of one volume at once.
const MOUNTS_MAX: usize = 4;

struct Volume {
    binary: PathBuf,
    folder: PathBuf,
    points: Vec<PathBuf>,
    /// None for objects elsewhere, and for metadata elsewhere.
    cache: Option<PathBuf>,
    cache_bytes: u64,
    /// Instead of a folder.
    store: Option<String>,
    /// Instead of a file.
    metadata: Option<String>,
}

impl Stop for Volume {
    fn mount_anew(&self) -> Outcome<()> {
        self.unmount()?;
        self.mount(&[])
    }

    fn make_read_only(&self) -> Outcome<()> {
        self.unmount()?;
        self.mount(&["--read-only"])
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        for point in &self.points {
            if is_mounted(point) {
                tidy_up("umount", self.command(&["umount"]).arg(point));
                unmount_by_force(point);
            }
        }
        self.tell_complaints();
        // What is elsewhere doesn't go with the folder.
        if self.store.is_some() || self.metadata.is_some() {
            tidy_up("destroy", &mut self.command(&["destroy", "--yes", &self.database()]));
        }
        for folder in self.cache.iter().chain([&self.folder]) {
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
        let unmount = |point| interrupt::run(self.command(&["umount"]).arg(point)).during("shoal umount").map(|_| ());
        self.points.iter().try_for_each(unmount)
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
        self.metadata.clone().unwrap_or_else(|| url("sqlite", &self.folder.join("volume.db")))
    }

    fn mount(&self, options: &[&str]) -> Outcome<()> {
        for point in &self.points {
            let mut command = self.command(&["mount", &self.database()]);
            command.arg(point).arg("--log-file").arg(self.log()).args(options);
            match &self.cache {
                None => command.arg("--no-cache"),
                Some(cache) => {
                    command.arg("--cache-dir").arg(cache);
                    command.args(["--cache-size", &format!("{}M", self.cache_bytes.div_ceil(1 << 20))]);
                    // However full the disk is: what is measured is the cache.
                    command.args(["--cache-free-ratio", "0"])
                }
            };
            interrupt::run(&mut command).during("shoal mount")?;
            if !is_mounted(point) {
                return Err(Failure::new(format_args!("shoal mount succeeded, but {} is no mount", point.display())));
            }
        }
        Ok(())
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
    let cache = match setup {
        Setup::CacheInMemory => Some(fresh_folder(&ground.memory)?),
        Setup::Usual | Setup::NoAttributeCache | Setup::ReadOnly => Some(folder.join("cache")),
        Setup::OnStore | Setup::ManyMounts => None,
    };
    let mounts = if setup == Setup::ManyMounts { MOUNTS_MAX } else { 1 };
    let volume = Volume {
        binary: ground.binaries.join("shoal"),
        points: (0..mounts).map(|number| folder.join(format!("mnt-{number}"))).collect(),
        cache,
        cache_bytes: ground.cache_bytes,
        store: ground.store.clone().filter(|_| setup == Setup::OnStore),
        metadata: ground.metadata.clone().filter(|_| setup == Setup::ManyMounts),
        folder,
    };
    for made in volume.points.iter().chain(&volume.cache).chain([&volume.folder.join("home")]) {
        std::fs::create_dir_all(made).during(made.display())?;
    }
    let objects = volume.store.clone().unwrap_or_else(|| url("file", &volume.folder.join("objects")));
    interrupt::run(&mut volume.command(&["format", &volume.database(), "bench", "--storage", &objects]))
        .during("shoal format")?;
    let options: &[&str] = match setup {
        Setup::NoAttributeCache => &["--attr-timeout", "0", "--entry-timeout", "0"],
        _ => &[],
    };
    volume.mount(options)?;
    let (root, cache) = (volume.points[0].clone(), volume.cache.clone());
    let other_roots = volume.points[1..].to_vec();
    Ok(Running { kind: TargetKind::Shoal, root, other_roots, cache, stop: Box::new(volume) })
}

fn url(scheme: &str, path: &Path) -> String {
    format!("{scheme}://{}", path.display())
}
