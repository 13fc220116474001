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
use shoal_kv::Kv;
use shoal_types::VolumeSettings;
use std::sync::Arc;
use std::time::SystemTime;

/// Remove a volume and everything in it, for good
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  shoal destroy sqlite:///srv/photos.db          # tells what would go
  shoal destroy sqlite:///srv/photos.db --yes    # and it goes
  shoal destroy sqlite:///srv/old.db --keep-objects --yes   # after shoal migrate

What shoal load has left behind half-done is removed without objects too.

This user's default cache of the volume goes too; folders that were named with
--cache-dir, and caches of other users and hosts, are to be removed by hand.")]
pub struct Arguments {
    /// The volume's metadata, for example sqlite:///srv/volume.db
    pub meta_url: String,
    /// Remove the metadata alone: the objects belong to a copy of the volume, made by shoal migrate or shoal load
    #[arg(long)]
    pub keep_objects: bool,
    /// Do it
    #[arg(long)]
    pub yes: bool,
}

pub fn run(arguments: Arguments) -> Outcome<Exit> {
    let url: MetaUrl = arguments.meta_url.parse()?;
    if let Some(kv) = half_loaded(&url)? {
        return remove_half_loaded(&url, kv, arguments.yes);
    }
    let opened = volume::open(&url)?;
    let storage = Storage::of(&opened)?;
    sessions::refuse_live(&url, &opened)?;
    if !arguments.yes {
        return Err(unconfirmed(&url, &opened, arguments.keep_objects));
    }
    let VolumeSettings { name, uuid, .. } = opened.settings.clone();
    if let Some(objects) = storage.open_remains()?.filter(|_| !arguments.keep_objects) {
        let removed = remove_objects(&objects)?;
        storage.withdraw_claim()?;
        objects.remove_folders()?;
        say(format_args!("removed {} from {storage}", count(removed, "object", "objects")));
    }
    let Opened { kv, metadata, .. } = opened;
    drop(metadata);
    remove_metadata(&url, kv)?;
    if arguments.keep_objects {
        say(format_args!("the metadata of the volume {name} is gone from {url}; its objects are still in {storage}"));
    } else {
        remove_cache(&uuid);
        say(format_args!("the volume {name} is gone"));
    }
    Ok(Exit::Success)
}

fn half_loaded(url: &MetaUrl) -> Outcome<Option<Arc<dyn Kv>>> {
    let kv = url.open()?;
    Ok(volume::is_half_loaded(url, kv.as_ref())?.then_some(kv))
}

fn remove_half_loaded(url: &MetaUrl, kv: Arc<dyn Kv>, yes: bool) -> Outcome<Exit> {
    if !yes {
        let why = "this would remove a dump that was loaded half, and no objects";
        return Err(Failure::new(Exit::Unconfirmed, url, why, "add --yes to do it"));
    }
    remove_metadata(url, kv)?;
    say("what was loaded is gone");
    Ok(Exit::Success)
}

/// With the last handle on it: the database's files go only when nobody here has them open.
fn remove_metadata(url: &MetaUrl, kv: Arc<dyn Kv>) -> Outcome<()> {
    kv.close().map_err(|error| Failure::of_store(url, &error))?;
    drop(kv);
    url.remove()
}

fn unconfirmed(url: &MetaUrl, opened: &Opened, keep_objects: bool) -> Failure {
    let settings = &opened.settings;
    // Only to show what is at stake; a volume that can't tell may be destroyed all the same.
    let content = match opened.metadata.usage() {
        Ok(usage) => format!("{} in {}", ByteCount(usage.bytes), count(usage.inodes, "inode", "inodes")),
        Err(error) => format!("of unknown content ({error})"),
    };
    let (name, storage) = (&settings.name, &settings.storage);
    let why = match keep_objects {
        true => format!("this would remove the metadata of the volume {name} ({content}), and not its objects"),
        false => format!("this would remove the volume {name} ({content}) and its objects in {storage}"),
    };
    Failure::new(Exit::Unconfirmed, url, why, "add --yes to do it")
}

fn remove_objects(objects: &Objects) -> Outcome<u64> {
    let mut keys = Vec::new();
    objects.list(|_, listed| keys.push(listed.key))?;
    let progress = Progress::bar("removing objects", keys.len() as u64);
    objects.delete(&keys, || progress.add(1))?;
    objects.delete(&objects.backups()?, || ())?;
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
