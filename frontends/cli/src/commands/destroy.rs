//! `shoal destroy`: removes a volume and all that is in it. Objects first, then the claim, and the metadata last: run
//! again after an interruption, it goes on.

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::meta_url::MetaUrl;
use crate::output::{count, say};
use crate::places;
use crate::progress::Progress;
use crate::sessions;
use crate::size::ByteCount;
use crate::storage::{Objects, Storage};
use crate::volume::{self, Opened};
use shoal_types::VolumeSettings;
use std::time::SystemTime;

/// Remove a volume and everything in it, for good
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  shoal destroy sqlite:///srv/photos.db          # tells what would go
  shoal destroy sqlite:///srv/photos.db --yes    # and it goes

This user's default cache of the volume goes too; folders that were named with
--cache-dir, and caches of other users and hosts, are to be removed by hand.")]
pub struct Arguments {
    /// The volume's metadata, for example sqlite:///srv/volume.db
    pub meta_url: String,
    /// Do it
    #[arg(long)]
    pub yes: bool,
}

pub fn run(arguments: Arguments) -> Outcome<Exit> {
    let url: MetaUrl = arguments.meta_url.parse()?;
    let opened = volume::open(&url)?;
    let storage = Storage::of(&opened.settings)?;
    refuse_live_sessions(&url, &opened)?;
    if !arguments.yes {
        return Err(unconfirmed(&url, &opened));
    }
    let VolumeSettings { name, uuid, .. } = opened.settings.clone();
    if let Some(objects) = storage.open_remains()? {
        let removed = remove_objects(&objects)?;
        storage.withdraw_claim()?;
        objects.remove_folders()?;
        say(format_args!("removed {} from {storage}", count(removed, "object", "objects")));
    }
    // The database's files go only when nobody here has them open.
    let Opened { kv, metadata, .. } = opened;
    drop(metadata);
    kv.close().map_err(|error| Failure::of_store(&url, &error))?;
    drop(kv);
    url.remove()?;
    remove_cache(&uuid);
    say(format_args!("the volume {name} is gone"));
    Ok(Exit::Success)
}

fn refuse_live_sessions(url: &MetaUrl, opened: &Opened) -> Outcome<()> {
    let alive = sessions::alive(&opened.metadata)?;
    if alive.is_empty() {
        return Ok(());
    }
    let users: Vec<String> = alive.iter().map(sessions::describe).collect();
    Err(Failure::new(
        Exit::InUse,
        url,
        format_args!("the volume {} is in use by {}", opened.settings.name, users.join(", and by ")),
        "unmount it there first: shoal umount MOUNTPOINT",
    ))
}

fn unconfirmed(url: &MetaUrl, opened: &Opened) -> Failure {
    let settings = &opened.settings;
    // Only to show what is at stake; a volume that can't tell may be destroyed all the same.
    let content = match opened.metadata.usage() {
        Ok(usage) => format!("{} in {}", ByteCount(usage.bytes), count(usage.inodes, "inode", "inodes")),
        Err(error) => format!("of unknown content ({error})"),
    };
    let why =
        format!("this would remove the volume {} ({content}) and its objects in {}", settings.name, settings.storage);
    Failure::new(Exit::Unconfirmed, url, why, "add --yes to do it")
}

fn remove_objects(objects: &Objects) -> Outcome<u64> {
    let mut keys = Vec::new();
    objects.list(|_, listed| keys.push(listed.key))?;
    let progress = Progress::bar("removing objects", keys.len() as u64);
    objects.delete(&keys, || progress.add(1))?;
    objects.remove_temporaries(SystemTime::now())?;
    Ok(keys.len() as u64)
}

/// What mounts of this user have cached of the volume. It is of no use any more, and no harm if it stays.
fn remove_cache(uuid: &str) {
    let Ok(folder) = places::cache_folder().map(|folder| folder.join(uuid)) else { return };
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            say(format_args!("its cache could not be removed: {}: {error}", folder.display()));
        }
        _ => {}
    }
}
