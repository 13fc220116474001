//! The helper of `mount(8)`: what it calls for `mount -t fuse.shoal` and for lines of `/etc/fstab`.

use crate::arguments::GlobalArguments;
use crate::commands::mount;
use crate::daemon;
use crate::exit::Exit;
use crate::failure::Outcome;
use crate::mount_options;
use crate::mount_request::MountRequest;
use crate::output::say;
use std::path::PathBuf;

pub const COMMAND: &str = "mount-helper";
/// A symbolic link of one of these names to the program is a helper.
pub const NAMES: [&str; 2] = ["mount.fuse.shoal", "mount.shoal"];

/// Mount as mount(8) asks for it
///
/// With a link /sbin/mount.fuse.shoal to shoal, `mount -t fuse.shoal` and /etc/fstab know volumes.
#[derive(clap::Args, Debug)]
#[command(name = COMMAND, after_help = "\
Examples:
  ln -s \"$(command -v shoal)\" /sbin/mount.fuse.shoal
  mount -t fuse.shoal sqlite:///srv/photos.db /mnt/photos -o ro,allow_other
  shoal mount-helper sqlite:///srv/photos.db /mnt/photos -o ro

A line of /etc/fstab:
  sqlite:///srv/photos.db  /mnt/photos  fuse.shoal  allow_other,_netdev,nofail  0  0")]
pub struct Arguments {
    pub meta_url: String,
    pub mount_point: PathBuf,
    /// The options of the mount, as in /etc/fstab
    #[arg(short = 'o', value_name = "OPTIONS")]
    pub options: Vec<String>,
    /// The type of the file system, which is known
    #[arg(short = 't', value_name = "TYPE")]
    pub kind: Option<String>,
    /// Tolerate options that are not known
    #[arg(short = 's')]
    pub sloppy: bool,
    /// Check everything that can be checked without mounting
    #[arg(short = 'f')]
    pub fake: bool,
    /// Accepted, and without effect: there is no mtab to write
    #[arg(short = 'n')]
    pub no_mtab: bool,
    /// Say what is done
    #[arg(short = 'v')]
    pub verbose: bool,
}

pub fn run(arguments: Arguments, global: &GlobalArguments) -> Outcome<Exit> {
    let mut request = MountRequest::new(arguments.meta_url.parse()?, &arguments.mount_point)?;
    mount::take_global(&mut request, global)?;
    for list in &arguments.options {
        for option in list.split(',') {
            match mount_options::apply(&mut request, option) {
                Err(failure) if arguments.sloppy => say(format_args!("shoal: ignored: {failure}")),
                result => result?,
            }
        }
    }
    request.check()?;
    if arguments.fake {
        return Ok(Exit::Success);
    }
    let serving = daemon::start(&request)?;
    if arguments.verbose {
        mount::tell(&serving);
    }
    Ok(Exit::Success)
}
