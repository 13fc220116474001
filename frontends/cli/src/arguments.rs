//! The command line as a whole. What each command takes stands in its own file under `commands/`.

use crate::commands::{
    clone, compact, config, destroy, dump, format, fsck, gc, info, key, load, migrate, mount, mount_helper, quota,
    restore, rmr, status, storage_test, storages, umount, up, verify, warmup, watch,
};
use crate::daemon;
use crate::exit;
use crate::places;
use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// A distributed POSIX file system: names in a transactional key-value store, bytes in an object store.
#[derive(Parser, Debug)]
#[command(name = "shoal", version, max_term_width = 110, after_help = exit::TABLE, subcommand_required = true)]
#[command(disable_help_subcommand = false, propagate_version = true)]
pub struct Arguments {
    #[command(flatten)]
    pub global: GlobalArguments,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(clap::Args, Debug, Clone)]
pub struct GlobalArguments {
    /// What to log: error, warn, info, debug, trace, or a list such as info,shoal_fuse=debug
    /// [default: info for mounts, warn for all else]
    #[arg(long, global = true, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// Add logs to this file [default: standard error; for mounts in the background a file of the volume's own]
    #[arg(long, global = true, value_name = "FILE")]
    pub log_file: Option<PathBuf>,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    Up(up::Arguments),
    Format(format::Arguments),
    Mount(Box<mount::Arguments>),
    Umount(umount::Arguments),
    Status(status::Arguments),
    Info(info::Arguments),
    Watch(watch::Arguments),
    Config(config::Arguments),
    Clone(clone::Arguments),
    Compact(compact::Arguments),
    Quota(quota::Arguments),
    Warmup(warmup::Arguments),
    Key(key::Arguments),
    Restore(restore::Arguments),
    Rmr(rmr::Arguments),
    Gc(gc::Arguments),
    Fsck(fsck::Arguments),
    Verify(verify::Arguments),
    Dump(dump::Arguments),
    Load(load::Arguments),
    Migrate(migrate::Arguments),
    Destroy(destroy::Arguments),
    Storages(storages::Arguments),
    StorageTest(storage_test::Arguments),
    MountHelper(mount_helper::Arguments),
    /// A mount in the background; started by shoal itself
    #[command(name = daemon::COMMAND, hide = true)]
    Daemon {
        /// For the list of processes only
        #[arg(hide = true)]
        shown: Vec<OsString>,
    },
}

/// Under the name of a mount helper, the program takes what `mount(8)` passes to one.
pub fn with_helper_command(mut given: Vec<OsString>) -> Vec<OsString> {
    let name = given.first().and_then(|path| Path::new(path).file_name());
    if name.is_some_and(|name| mount_helper::NAMES.iter().any(|helper| name == *helper)) {
        given.splice(..1, ["shoal".into(), mount_helper::COMMAND.into()]);
    }
    given
}

impl GlobalArguments {
    /// The log as a full path.
    pub fn log_file(&self) -> crate::failure::Outcome<Option<PathBuf>> {
        self.log_file.as_deref().map(places::absolute).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_declarations_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_that_is_shown_has_examples() {
        for command in Arguments::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Examples:") && help.contains("shoal"), "{}", command.get_name());
        }
    }

    #[test]
    fn the_name_of_a_helper_makes_it_one() {
        let given = |list: &[&str]| with_helper_command(list.iter().map(OsString::from).collect());
        assert_eq!(given(&["/sbin/mount.fuse.shoal", "a", "b"]), ["shoal", "mount-helper", "a", "b"]);
        assert_eq!(given(&["/usr/bin/shoal", "up", "b"]), ["/usr/bin/shoal", "up", "b"]);
        assert!(given(&[]).is_empty());
    }
}
