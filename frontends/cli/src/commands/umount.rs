//! `shoal umount`: ends a mount and waits until its daemon has put everything away.

use crate::exit::Exit;
use crate::failure::{Failure, Outcome, chain};
use crate::output::{count, say};
use crate::places;
use crate::size::ByteCount;
use crate::state_file::MountState;
use crate::writeback::{self, Content};
use shoal_fuse::{UnmountError, find_mount, unmount};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Unmount a volume, once all it has buffered is stored
///
/// Of a mount with --writeback this takes until everything is uploaded, and tells how much is left. When the object store
/// can't be reached the mount ends without: what is left stays in its folder for the next mount.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  shoal umount /mnt/photos
  shoal umount --lazy /mnt/photos     # also while files are open; it goes on serving those")]
pub struct Arguments {
    pub mount_point: PathBuf,
    /// Take it out of sight at once, although files are open on it; does not wait for them
    #[arg(short, long)]
    pub lazy: bool,
}

const PATIENCE_BEFORE_TALK: Duration = Duration::from_secs(2);
const TALK_INTERVAL: Duration = Duration::from_secs(5);
/// Far beyond what a flush may take; whoever waits can interrupt.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

pub fn run(arguments: Arguments) -> Outcome<Exit> {
    let mount_point = resolve(&arguments.mount_point)?;
    let state = MountState::find(&mount_point)?;
    let lived = state.as_ref().is_some_and(|state| state.process.is_alive());
    let entry = find_mount(&mount_point)
        .map_err(|error| Failure::of_io(Path::new("/proc/self/mountinfo"), "reading it", &error))?;
    match entry {
        Some(entry) if entry.is_ours() => unmount(&mount_point, arguments.lazy).map_err(explain)?,
        Some(entry) => {
            return Err(Failure::new(
                Exit::NotFound,
                mount_point.display(),
                format_args!("what is mounted here is a {}, and no volume", entry.kind),
                format_args!("unmount it by: umount {}", mount_point.display()),
            ));
        }
        // Unmounted by other means a moment ago: its daemon may still be at work.
        None if lived => {}
        None => {
            return Err(Failure::new(
                Exit::NotFound,
                mount_point.display(),
                "nothing is mounted here",
                "see what is: findmnt -t fuse.shoal",
            ));
        }
    }
    match state {
        Some(state) if !lived => {
            MountState::remove(&state.mount_point)?;
            say("its daemon had died before; what was written and not closed then is lost");
        }
        Some(state) if !arguments.lazy => await_end(&state)?,
        _ => {}
    }
    Ok(Exit::Success)
}

fn await_end(state: &MountState) -> Outcome<()> {
    if !state.process.wait_for_end(PATIENCE_BEFORE_TALK) {
        say(format_args!("waiting until process {} has stored what it has buffered", state.process.pid));
        await_uploads(state);
        if !state.process.wait_for_end(PATIENCE) {
            return Err(Failure::new(
                Exit::Other,
                state.mount_point.display(),
                format_args!("process {} is still storing what it has buffered", state.process.pid),
                "wait for it to end, and look at its log",
            ));
        }
    }
    // The daemon's last act is to remove its file, or to leave in it why its end went wrong.
    match MountState::find(&state.mount_point)? {
        Some(left) if left.process == state.process => {
            MountState::remove(&state.mount_point)?;
            let log = left.log_file.map_or_else(|| "its log".into(), |path| path.display().to_string());
            let why = left.failure.unwrap_or_else(|| "its daemon ended before it had stored everything".into());
            Err(Failure::new(Exit::Other, state.mount_point.display(), why, format_args!("look at {log}")))
        }
        _ => Ok(()),
    }
}

/// Tells how much is left to be uploaded, for as long as there is any.
fn await_uploads(state: &MountState) {
    let Some(folder) = &state.writeback else { return };
    while let Ok(Content { objects, bytes }) = writeback::content(folder)
        && objects > 0
    {
        let objects = count(objects, "object", "objects");
        say(format_args!("{objects} ({}) are still to be uploaded", ByteCount(bytes)));
        if state.process.wait_for_end(TALK_INTERVAL) {
            return;
        }
    }
}

fn explain(error: UnmountError) -> Failure {
    let exit = match &error {
        UnmountError::Busy(_) => Exit::InUse,
        UnmountError::NotMounted(_) => Exit::NotFound,
        UnmountError::HelperMissing => Exit::Unreachable,
        UnmountError::Refused { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            return Failure::told(
                Exit::Permission,
                format_args!("{}; ask the user who mounted it, or root", chain(&error)),
            );
        }
        UnmountError::Refused { .. } | UnmountError::Helper { .. } | UnmountError::HelperBroken(_) => Exit::Other,
    };
    Failure::told(exit, chain(&error))
}

/// The full path without symbolic links. A dead mount can't be asked, so the last name is taken as it is.
fn resolve(given: &Path) -> Outcome<PathBuf> {
    match given.canonicalize() {
        Ok(path) => Ok(path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(Failure::of_io(given, "looking at it", &error))
        }
        Err(_) => {
            let path = places::absolute(given)?;
            match (path.parent().and_then(|folder| folder.canonicalize().ok()), path.file_name()) {
                (Some(folder), Some(name)) => Ok(folder.join(name)),
                _ => Ok(path),
            }
        }
    }
}
