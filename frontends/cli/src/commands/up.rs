//! `shoal up`: from nothing to a working mount. Makes the user's default volume the first time.

use crate::arguments::GlobalArguments;
use crate::commands::{format, mount};
use crate::daemon;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::meta_url::MetaUrl;
use crate::mount_request::MountRequest;
use crate::output::say;
use crate::places;
use crate::volume;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Make a volume if there is none yet, and mount it
///
/// The volume's metadata is an SQLite database, its objects are files; both lie in the user's data folder
/// ($XDG_DATA_HOME/shoal or ~/.local/share/shoal).
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  shoal up ~/shoal        # then use ~/shoal like any folder
  shoal umount ~/shoal    # ends it; the data stays
  shoal up ~/shoal        # and it is back")]
pub struct Arguments {
    /// Made if it does not exist
    pub mount_point: PathBuf,
}

const VOLUME: &str = "default";

pub fn run(arguments: Arguments, global: &GlobalArguments) -> Outcome<Exit> {
    let folder = places::data_folder()?;
    let database = folder.join(format!("{VOLUME}.db"));
    let url = MetaUrl::Sqlite(database.clone());
    let mut request = MountRequest::new(url.clone(), &arguments.mount_point)?;
    mount::take_global(&mut request, global)?;

    make_folder(&folder, 0o700)?;
    if !volume::exists(&url)? {
        let storage = format!("file://{}", folder.join("objects").display());
        format::make(&url, VOLUME, &format::Wishes { storage: Some(storage), ..Default::default() })?;
        say("made the volume 'default', because there was none yet");
    }
    if !is_there(&request.mount_point)? {
        make_folder(&request.mount_point, 0o755)?;
        say(format_args!("made the directory {}", request.mount_point.display()));
    }
    let serving = daemon::start(&request)?;
    mount::tell(&serving);
    say(format_args!("  metadata  {}", database.display()));
    say(format_args!("  objects   {}", serving.storage));
    say(format_args!("  cache     {}", serving.caches.first().map_or(Path::new("none"), PathBuf::as_path).display()));
    say(format_args!("  log       {}", serving.log_file.as_deref().unwrap_or(Path::new("none")).display()));
    say(format_args!("to unmount:  shoal umount {}", serving.mount_point.display()));
    Ok(Exit::Success)
}

/// A dead mount is there too: mounting cleans it away.
fn is_there(path: &Path) -> Outcome<bool> {
    match std::fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NOTCONN.raw_os_error()) => Ok(true),
        Err(error) => Err(Failure::of_io(path, "looking at it", &error)),
    }
}

fn make_folder(path: &Path, mode: u32) -> Outcome<()> {
    let made = DirBuilder::new().recursive(true).mode(mode).create(path);
    made.map_err(|error| Failure::of_io(path, "making the folder", &error))
}
