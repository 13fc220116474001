//! `shoal gc`: objects that nothing needs, and needed objects that are not there.
//!
//! The store is listed before the metadata is asked: an object that is in the list and that nothing refers to afterwards
//! was not on its way into a file. Numbers leased to live sessions are left alone.

use crate::bucket::{self, Bucket, Loss, Needs, Stored};
use crate::clock;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::meta_url::MetaUrl;
use crate::output::{self, count, say};
use crate::progress::Progress;
use crate::sessions;
use crate::size::{ByteCount, Span};
use crate::storage::{Objects, Storage};
use crate::volume;
use shoal_kv::Durability;
use shoal_metadata::check::{self, Verdict};
use shoal_metadata::{ForgetObjects, MetaOp, Metadata, PurgeTrash, RemoveInode, SessionKind};
use shoal_types::ObjectId;
use std::time::SystemTime;

/// Find objects that nothing needs, and remove them
///
/// Leaked objects are what a crash leaves behind between storing bytes and making them part of a file: lost room, no
/// damage. Missing objects are damage, and are told with the files that need them. The volume may be in use.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  shoal gc sqlite:///srv/photos.db             # tells what there is, changes nothing
  shoal gc sqlite:///srv/photos.db --delete
  shoal gc sqlite:///srv/photos.db --delete --grace 0

With --delete it also ends the sessions of mounts that have died, and removes
temporary files that killed mounts left in the store. While no mount lives it
does the mounts' work too: removes deleted files, and what has been in the
trash for its days, and deletes their objects.

Exit code 1: objects are missing, or leaked and still there.")]
pub struct Arguments {
    /// The volume's metadata, for example sqlite:///srv/volume.db
    pub meta_url: String,
    /// Remove what nothing needs
    #[arg(long)]
    pub delete: bool,
    /// Leave leaked objects alone that are younger
    #[arg(long, value_name = "TIME", default_value = "1h")]
    pub grace: Span,
}

/// Some objects together.
#[derive(Clone, Copy, Default)]
struct Sum {
    objects: u64,
    bytes: u64,
}

#[derive(Default)]
struct Sorted {
    live: Sum,
    queued: Sum,
    leased: Sum,
    unborn: Sum,
    leaked: Vec<(ObjectId, Stored)>,
}

pub fn run(arguments: Arguments) -> Outcome<Exit> {
    let url: MetaUrl = arguments.meta_url.parse()?;
    let opened = volume::open(&url)?;
    let objects = Storage::of(&opened)?.open()?;
    if arguments.delete {
        clean_up(&opened.metadata, &objects, &arguments)?;
    }
    let bucket = Bucket::list(&objects)?;
    let sorted = sort(&url, &opened.metadata, &bucket)?;
    let needs = Needs::of_volume(&opened.metadata)?;
    let losses = bucket::losses(&opened, &objects, &bucket, &needs)?;
    let removed = match arguments.delete {
        true => remove(&objects, &sorted.leaked, &arguments)?,
        false => Sum::default(),
    };
    output::print(show(&bucket, &sorted, removed, &losses))?;
    bucket::tell(&opened.metadata, &losses)?;
    let left = sorted.leaked.len() as u64 - removed.objects;
    tell_cure(&arguments, left, &sorted.unborn, &losses);
    Ok(if left == 0 && sorted.unborn.objects == 0 && losses.is_empty() { Exit::Success } else { Exit::Findings })
}

fn clean_up(metadata: &Metadata, objects: &Objects, arguments: &Arguments) -> Outcome<()> {
    let ended = sessions::end_dead(metadata)?;
    if ended > 0 {
        say(format_args!("ended {} whose process has died", count(ended, "session", "sessions")));
    }
    let mounts = sessions::alive(metadata)?.iter().filter(|session| session.record.kind == SessionKind::Mount).count();
    if mounts == 0 {
        purge_trash(metadata)?;
        let files = remove_files(metadata)?;
        let deleted = delete_queued(metadata, objects)?;
        if files + deleted > 0 {
            let files = count(files, "deleted file", "deleted files");
            say(format_args!("removed {files} and {} of such", count(deleted, "object", "objects")));
        }
    }
    let temporaries = objects.remove_temporaries(older_than(&arguments.grace))?;
    if temporaries > 0 {
        say(format_args!("removed {}", count(temporaries, "temporary file", "temporary files")));
    }
    Ok(())
}

/// What has been in the trash for long enough comes into the removal queue.
fn purge_trash(metadata: &Metadata) -> Outcome<()> {
    let now = clock::now();
    let before = metadata.accounting().map_err(of_metadata)?.trash_due_before(now);
    match metadata.trash_is_due(before).map_err(of_metadata)? {
        true => sessions::run_to_end(metadata, &MetaOp::PurgeTrash(PurgeTrash { before, now })),
        false => Ok(()),
    }
}

/// Works off the removal queue. Nobody reads these files any more, so their objects may go at once.
fn remove_files(metadata: &Metadata) -> Outcome<u64> {
    let progress = Progress::count("removing deleted files");
    let mut removed = 0;
    loop {
        let page = metadata.queued_removals(u64::MAX, PAGE).map_err(of_metadata)?;
        if page.is_empty() {
            return Ok(removed);
        }
        for queued in &page {
            let step = RemoveInode { queued_at: queued.queued_at, ino: queued.ino, delete_at: clock::now() };
            sessions::run_to_end(metadata, &MetaOp::RemoveInode(step))?;
            progress.add(1);
            removed += 1;
        }
    }
}

/// Works off the deletion queue, also what is not due yet: the time is for readers on mounts, and there are none.
fn delete_queued(metadata: &Metadata, objects: &Objects) -> Outcome<u64> {
    let progress = Progress::count("deleting their objects");
    let mut deleted = 0;
    loop {
        let page = metadata.queued_deletions(u64::MAX, PAGE).map_err(of_metadata)?;
        if page.is_empty() {
            return Ok(deleted);
        }
        let keys: Vec<String> = page.iter().map(|queued| objects.key(queued.object)).collect();
        objects.delete(&keys, || progress.add(1))?;
        // Forgotten only when they are gone: whoever is interrupted here deletes them once more.
        let entries = page.iter().map(|queued| (queued.delete_at, queued.object)).collect();
        metadata.run(MetaOp::ForgetObjects(ForgetObjects { entries }), Durability::Visible).map_err(of_metadata)?;
        deleted += page.len() as u64;
    }
}

fn sort(url: &MetaUrl, metadata: &Metadata, bucket: &Bucket) -> Outcome<Sorted> {
    let census = check::objects(metadata).map_err(|error| Failure::of_metadata(url, &error))?;
    let mut sorted = Sorted::default();
    for (object, stored) in &bucket.objects {
        match census.verdict(*object) {
            Verdict::Live => sorted.live.add(stored),
            Verdict::Queued => sorted.queued.add(stored),
            Verdict::Leased => sorted.leased.add(stored),
            Verdict::Unborn => sorted.unborn.add(stored),
            Verdict::Garbage => sorted.leaked.push((*object, *stored)),
        }
    }
    Ok(sorted)
}

/// Deletes the leaked objects that are old enough.
fn remove(objects: &Objects, leaked: &[(ObjectId, Stored)], arguments: &Arguments) -> Outcome<Sum> {
    let older_than = older_than(&arguments.grace);
    let old = |stored: &Stored| stored.modified.is_some_and(|modified| modified <= older_than);
    let chosen = || leaked.iter().filter(|(_, stored)| old(stored));
    let keys: Vec<String> = chosen().map(|(object, _)| objects.key(*object)).collect();
    let progress = Progress::bar("removing leaked objects", keys.len() as u64);
    objects.delete(&keys, || progress.add(1))?;
    Ok(Sum::of(chosen().map(|(_, stored)| stored)))
}

fn older_than(grace: &Span) -> SystemTime {
    SystemTime::now().checked_sub(grace.0).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn show(bucket: &Bucket, sorted: &Sorted, removed: Sum, losses: &[Loss]) -> String {
    let leaked = Sum::of(sorted.leaked.iter().map(|(_, stored)| stored));
    let row = |name: &str, sum: Sum| {
        vec![name.to_owned(), count(sum.objects, "object", "objects"), ByteCount(sum.bytes).to_string()]
    };
    let mut rows = vec![
        row("in the store", Sum { objects: bucket.objects.len() as u64, bytes: bucket.bytes() }),
        row("in use", sorted.live),
        row("to be deleted", sorted.queued),
        row("of live mounts", sorted.leased),
        row("leaked", leaked),
    ];
    if removed.objects > 0 {
        rows.push(row("  removed now", removed));
    }
    if sorted.unborn.objects > 0 {
        rows.push(row("of no known number", sorted.unborn));
    }
    if !bucket.strangers.is_empty() {
        let first = bucket.strangers.first().map_or("", String::as_str);
        rows.push(vec!["strangers".into(), count(bucket.strangers.len() as u64, "file", "files"), first.to_owned()]);
    }
    rows.push(vec!["missing".into(), count(losses.len() as u64, "object", "objects")]);
    output::columns(&rows)
}

fn tell_cure(arguments: &Arguments, left: u64, unborn: &Sum, losses: &[Loss]) {
    let url = &arguments.meta_url;
    if left > 0 && arguments.delete {
        let grace = arguments.grace;
        say(format_args!("leaked objects younger than {grace} are left alone; to remove them too: --grace 0"));
    } else if left > 0 {
        say(format_args!("to remove what is leaked: shoal gc {url} --delete"));
    }
    if unborn.objects > 0 {
        say("the store has objects that this metadata never made: it is older than the store, or of another volume");
    }
    if !losses.is_empty() {
        say("files with missing objects cannot be read in full; restore them from a backup");
    }
}

fn of_metadata(error: shoal_metadata::MetaError) -> Failure {
    Failure::of_metadata("the volume's metadata", &error)
}

impl Sum {
    fn add(&mut self, stored: &Stored) {
        self.objects += 1;
        self.bytes += stored.bytes;
    }

    fn of<'a>(all: impl Iterator<Item = &'a Stored>) -> Self {
        let mut sum = Sum::default();
        all.for_each(|stored| sum.add(stored));
        sum
    }
}

/// Queue entries worked off together.
const PAGE: usize = 256;
