//! `shoal fsck`: whether a volume's metadata agrees with itself, and the store with the metadata. Reads only.

use crate::bucket::{self, Bucket, Loss};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::key_source::KeyArguments;
use crate::meta_url::MetaUrl;
use crate::output::{self, count, say};
use crate::progress::Progress;
use crate::storage::{Objects, Storage};
use crate::volume::{self, Opened};
use shoal_metadata::check;
use shoal_object_format::{ObjectFormat, stored_length};
use shoal_object_store::StoreError;
use shoal_types::{Ino, ObjectId, VolumeSettings};
use std::collections::BTreeMap;

/// Check a volume
///
/// Checks the metadata against itself, and that the store has every object that a file needs, in its full length. It
/// changes nothing, and the volume may be in use.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  shoal fsck sqlite:///srv/photos.db
  shoal fsck sqlite:///srv/photos.db --data    # reads every byte: as slow as a full backup
  shoal fsck sqlite:///srv/photos.db --data --key-file /root/photos.key    # of an encrypted volume

Each finding is one line on standard output. Exit code 0: none, 1: some.")]
pub struct Arguments {
    /// The volume's metadata, for example sqlite:///srv/volume.db
    pub meta_url: String,
    /// Also read every object and verify its checksums
    #[arg(long)]
    pub data: bool,
    #[command(flatten)]
    pub key: KeyArguments,
}

pub fn run(arguments: Arguments) -> Outcome<Exit> {
    let url: MetaUrl = arguments.meta_url.parse()?;
    let key = arguments.key.source()?;
    let opened = match arguments.data || key.is_some() {
        true => volume::open_unlocked(&url, key.as_ref())?,
        false => volume::open(&url)?,
    };
    let objects = Storage::of(&opened.settings)?.open()?;
    let mut findings = check_metadata(&url, &opened)?;
    let bucket = Bucket::list(&objects)?;
    findings += tell(&opened, &bucket::losses(&opened, &objects, &bucket)?)?;
    if arguments.data {
        findings += tell(&opened, &damages(&opened, &objects, &bucket)?)?;
    }
    let name = &opened.settings.name;
    match findings {
        0 => say(format_args!("the volume {name} is sound")),
        _ => say(format_args!("the volume {name} has {}", count(findings, "finding", "findings"))),
    }
    Ok(if findings == 0 { Exit::Success } else { Exit::Findings })
}

fn check_metadata(url: &MetaUrl, opened: &Opened) -> Outcome<u64> {
    let progress = Progress::count("checking the metadata");
    let report = check::run(&opened.metadata, &mut |records| progress.set(records));
    let report = report.map_err(|error| Failure::of_metadata(url, &error))?;
    drop(progress);
    report.findings.iter().try_for_each(output::print)?;
    if report.unlisted > 0 {
        output::print(format_args!("the volume: {} more", count(report.unlisted, "finding", "findings")))?;
    }
    Ok(report.findings.len() as u64 + report.unlisted)
}

fn tell(opened: &Opened, losses: &[Loss]) -> Outcome<u64> {
    for Loss { ino, object, why } in losses {
        output::print(format_args!("{}: object {object} {why}", bucket::path_of(&opened.metadata, *ino)?))?;
    }
    Ok(losses.len() as u64)
}

/// Objects of the right length whose bytes are wrong.
fn damages(opened: &Opened, objects: &Objects, bucket: &Bucket) -> Outcome<Vec<Loss>> {
    let mut needed: BTreeMap<ObjectId, (Ino, u32)> = BTreeMap::new();
    for ino in bucket::files_with_objects(&opened.metadata)? {
        bucket::for_each_slice(&opened.metadata, ino, &mut |slice| {
            needed.insert(slice.object, (ino, slice.object_length));
        })?;
    }
    let VolumeSettings { compression, cipher, .. } = opened.settings;
    // What is missing or of another length has been told already.
    needed.retain(|object, (_, length)| {
        let expected = stored_length(compression, cipher.is_some(), *length);
        bucket.objects.get(object).is_none_or(|stored| expected.contains(&stored.bytes))
    });
    let format = ObjectFormat::new(compression, opened.sealer.clone());
    let progress = Progress::bar("reading objects", needed.len() as u64);
    let mut found = Vec::new();
    for (object, (ino, length)) in needed {
        progress.add(1);
        if let Some(why) = damage(objects, &format, object, length)? {
            found.push(Loss { ino, object, why });
        }
    }
    Ok(found)
}

fn damage(objects: &Objects, format: &ObjectFormat, object: ObjectId, length: u32) -> Outcome<Option<String>> {
    match objects.read(object) {
        Ok(stored) => {
            let decoded = format.decode_from_whole(object, length, 0..length, stored);
            Ok(decoded.err().map(|error| format!("is damaged: {error}")))
        }
        // Missing since the listing: removed with its file, or told by the next run.
        Err(StoreError::NotFound(_)) => Ok(None),
        Err(error @ StoreError::Other(_)) => Ok(Some(format!("cannot be read: {error}"))),
        Err(error) => Err(Failure::of_objects(&objects.url, &error)),
    }
}
