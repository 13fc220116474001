//! `shoal`: the command line, and the one place that chooses engines and wires everything together.
//!
//! Data goes to standard output, talk to standard error. A command that fails says so in one line with the cure, and
//! ends with a code from `exit.rs`. Never decides anything about the file system itself.

// In tests a failed unwrap is a failed test, which is what it is for.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod arguments;
mod backup;
mod bucket;
mod checked;
mod claim;
mod claim_object;
mod clock;
mod commands;
mod consistency;
mod daemon;
mod dumping;
mod exit;
mod failure;
mod key_source;
mod loading;
mod logging;
mod mending;
mod meta_url;
mod mount_flags;
mod mount_options;
mod mount_request;
mod mounted;
mod output;
mod owners;
mod places;
mod process;
mod progress;
mod serve;
mod server_url;
mod sessions;
mod signals;
mod size;
mod state_file;
mod storage;
mod storage_secrets;
mod transport;
mod tree;
mod verify_cache;
mod volume;
mod writeback;

use arguments::{Arguments, Command, GlobalArguments};
use clap::Parser;
use exit::Exit;
use failure::Outcome;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::parse_from(arguments::with_helper_command(std::env::args_os().collect()));
    let is_helper = matches!(arguments.command, Command::MountHelper(_));
    let is_daemon = matches!(arguments.command, Command::Daemon { .. });
    let exit = match run(arguments) {
        Ok(exit) => exit,
        Err(failure) => {
            // A daemon's last words go to whoever started it, and to its log.
            if !is_daemon {
                output::say(format_args!("shoal: {failure}"));
            }
            failure.exit
        }
    };
    ExitCode::from(if is_helper { exit.for_mount_helper() } else { exit as u8 })
}

fn run(arguments: Arguments) -> Outcome<Exit> {
    let global = arguments.global;
    match arguments.command {
        Command::Mount(mount) => commands::mount::run(*mount, &global),
        Command::MountHelper(mount) => commands::mount_helper::run(mount, &global),
        Command::Up(up) => with_log(&global, || commands::up::run(up, &global)),
        Command::Daemon { .. } => daemon::run().map(|()| Exit::Success),
        Command::Format(format) => with_log(&global, || commands::format::run(format)),
        Command::Umount(umount) => with_log(&global, || commands::umount::run(umount)),
        Command::Storages(storages) => with_log(&global, || commands::storages::run(storages)),
        Command::StorageTest(test) => with_log(&global, || commands::storage_test::run(test)),
        Command::Status(status) => with_log(&global, || commands::status::run(status)),
        Command::Info(info) => with_log(&global, || commands::info::run(info)),
        Command::Watch(watch) => with_log(&global, || commands::watch::run(watch)),
        Command::Key(key) => with_log(&global, || commands::key::run(key)),
        Command::Clone(clone) => with_log(&global, || commands::clone::run(clone)),
        Command::Gc(gc) => with_log(&global, || commands::gc::run(gc)),
        Command::Config(config) => with_log(&global, || commands::config::run(config)),
        Command::Quota(quota) => with_log(&global, || commands::quota::run(quota)),
        Command::Restore(restore) => with_log(&global, || commands::restore::run(restore)),
        Command::Rmr(rmr) => with_log(&global, || commands::rmr::run(rmr)),
        Command::Fsck(fsck) => with_log(&global, || commands::fsck::run(fsck)),
        Command::Compact(compact) => with_log(&global, || commands::compact::run(compact)),
        Command::Verify(verify) => with_log(&global, || commands::verify::run(verify)),
        Command::Warmup(warmup) => with_log(&global, || commands::warmup::run(warmup)),
        Command::Dump(dump) => with_log(&global, || commands::dump::run(dump)),
        Command::Load(load) => with_log(&global, || commands::load::run(load)),
        Command::Migrate(migrate) => with_log(&global, || commands::migrate::run(migrate)),
        Command::Destroy(destroy) => with_log(&global, || commands::destroy::run(destroy)),
    }
}

fn with_log(global: &GlobalArguments, command: impl FnOnce() -> Outcome<Exit>) -> Outcome<Exit> {
    let file = global.log_file()?.as_deref().map(logging::open_file).transpose()?;
    logging::start(global.log_level.as_deref().unwrap_or("warn"), file)?;
    command()
}
