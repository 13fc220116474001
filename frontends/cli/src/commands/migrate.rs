//! `shoal migrate`: a volume's metadata from one store into another, and a second look at both.

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::loading::Target;
use crate::meta_url::MetaUrl;
use crate::output::{count, say};
use crate::progress::Progress;
use crate::sessions;
use crate::volume;
use shoal_kv::{Kv, KvResult, Snapshot};
use shoal_metadata_dump::{CompareError, Numbers, compare};

/// Move a volume's metadata to another store, of any kind
///
/// The volume must not be mounted. The new store must be empty; it becomes the volume only after both have been compared,
/// record by record. The old one stays as it is.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  shoal migrate sqlite:///srv/photos.db postgres://me@db.example/shoal
  shoal migrate redis://db.example/0 sqlite:///srv/photos.db
  shoal migrate --restart sqlite:///srv/photos.db redis://db.example/0   # after one that was interrupted

Where both need a password, and not the same, write them into the URLs, or take
shoal dump and shoal load instead.")]
pub struct Arguments {
    /// Where the metadata is, for example sqlite:///srv/volume.db
    pub from: String,
    /// Where it is to be
    pub to: String,
    /// Remove what a migration that was interrupted has left there, and begin anew
    #[arg(long)]
    pub restart: bool,
}

pub fn run(arguments: Arguments) -> Outcome<Exit> {
    let (from, to): (MetaUrl, MetaUrl) = (arguments.from.parse()?, arguments.to.parse()?);
    let opened = volume::open(&from)?;
    // What they change after the snapshot would be lost.
    sessions::refuse_live(&from, &opened)?;
    let mut target = Target::claim(&to, arguments.restart)?;
    let source = from.to_string();
    let pairs = {
        let mut snapshot = snapshot(&from, opened.kv.snapshot())?;
        target.fill(&source, snapshot.as_mut())?
    };
    verify((&from, opened.kv.as_ref()), (&to, target.kv.as_ref()), pairs)?;
    let settings = target.finish(&source, Numbers::GoOn)?;
    let records = count(pairs, "record", "records");
    say(format_args!("moved the volume {} to {to}: {records}, compared with {from}", settings.name));
    if let Some(warning) = to.durability_warning()? {
        say(format_args!("  warning: {warning}"));
    }
    say("both are the same volume now, with the same objects: use the new one, and never mount the old one again");
    say(format_args!("to remove the old one:  shoal destroy {from} --keep-objects --yes"));
    Ok(Exit::Success)
}

fn snapshot(url: &MetaUrl, taken: KvResult<Box<dyn Snapshot>>) -> Outcome<Box<dyn Snapshot>> {
    taken.map_err(|error| Failure::of_store(url, &error))
}

/// The copy against what the old store holds by now: whoever has changed it meanwhile is found out too.
fn verify((from, old): (&MetaUrl, &dyn Kv), (to, new): (&MetaUrl, &dyn Kv), pairs: u64) -> Outcome<()> {
    let progress = Progress::bar("comparing records", pairs);
    let (mut one, mut other) = (snapshot(from, old.snapshot())?, snapshot(to, new.snapshot())?);
    match compare(one.as_mut(), other.as_mut(), &mut |pairs| progress.set(pairs)) {
        Ok(_) => Ok(()),
        Err(CompareError::One(error)) => Err(Failure::of_store(from, &error)),
        Err(CompareError::Other(error)) => Err(Failure::of_store(to, &error)),
        Err(CompareError::Differ(difference)) => Err(Failure::new(
            Exit::Damaged,
            to,
            format_args!("it is not what {from} holds: {difference}"),
            "see that nobody uses the volume, and migrate again with --restart",
        )),
    }
}
