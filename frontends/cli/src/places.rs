//! Where this program keeps what belongs to a user or to the machine, after the XDG base directory rules.
//!
//! Only names paths; whoever uses one creates it.

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use std::env;
use std::path::{Path, PathBuf};

/// The default volume's metadata and objects: `$XDG_DATA_HOME/shoal`.
pub fn data_folder() -> Outcome<PathBuf> {
    user_folder("XDG_DATA_HOME", ".local/share")
}

/// Caches of all volumes: of the machine for root, of the user otherwise.
pub fn cache_folder() -> Outcome<PathBuf> {
    match is_root() && named("XDG_CACHE_HOME").is_none() {
        true => Ok("/var/cache/shoal".into()),
        false => user_folder("XDG_CACHE_HOME", ".cache"),
    }
}

/// What is still to be uploaded. Not below the caches, which may be deleted at any time.
pub fn writeback_folder() -> Outcome<PathBuf> {
    match is_root() && named("XDG_STATE_HOME").is_none() {
        true => Ok("/var/lib/shoal/writeback".into()),
        false => Ok(user_folder("XDG_STATE_HOME", ".local/state")?.join("writeback")),
    }
}

pub fn log_folder() -> Outcome<PathBuf> {
    match is_root() && named("XDG_STATE_HOME").is_none() {
        true => Ok("/var/log/shoal".into()),
        false => user_folder("XDG_STATE_HOME", ".local/state"),
    }
}

/// State files of the mounts that live now.
pub fn runtime_folder() -> Outcome<PathBuf> {
    match named("XDG_RUNTIME_DIR") {
        Some(folder) => Ok(folder.join("shoal")),
        None if is_root() => Ok("/run/shoal".into()),
        // Nobody empties this one at boot, so a state file also says which boot it was written in.
        None => Ok(user_folder("XDG_STATE_HOME", ".local/state")?.join("mounts")),
    }
}

/// Every runtime folder this user may look into; root sees those of all users.
pub fn runtime_folders() -> Outcome<Vec<PathBuf>> {
    let mut folders = vec![runtime_folder()?];
    folders.push("/run/shoal".into());
    if is_root()
        && let Ok(users) = std::fs::read_dir("/run/user")
    {
        folders.extend(users.flatten().map(|user| user.path().join("shoal")));
    }
    folders.dedup();
    Ok(folders)
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// `path` seen from the working folder, without asking the file system: it may not exist yet.
pub fn absolute(path: &Path) -> Outcome<PathBuf> {
    std::path::absolute(path).map_err(|error| Failure::of_io(path, "finding its full name", &error))
}

fn user_folder(variable: &str, below_home: &str) -> Outcome<PathBuf> {
    if let Some(folder) = named(variable) {
        return Ok(folder.join("shoal"));
    }
    match named("HOME") {
        Some(home) => Ok(home.join(below_home).join("shoal")),
        None => Err(Failure::new(
            Exit::Usage,
            "HOME",
            "it is not set, so there is no folder for this user's files",
            format_args!("set HOME or {variable}"),
        )),
    }
}

/// An environment variable that holds an absolute path; the XDG rules have any other ignored.
fn named(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute())
}
