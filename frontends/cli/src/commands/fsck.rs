//! `shoal fsck`: whether a volume's metadata agrees with itself, and the store with the metadata.

use crate::bucket::{self, Bucket, Needs};
use crate::checked::Checked;
use crate::exit::Exit;
use crate::failure::Outcome;
use crate::key_source::KeyArguments;
use crate::mending;
use crate::meta_url::MetaUrl;
use crate::output::{self, count, say};
use crate::storage::Storage;
use crate::volume;
use shoal_metadata::Metadata;

/// Check a volume
///
/// Checks the metadata against itself, and that the store has every object that a file needs, in its full length. Without
/// --repair it changes nothing, and the volume may be in use.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  shoal fsck sqlite:///srv/photos.db
  shoal fsck sqlite:///srv/photos.db --data    # reads every byte: as slow as a full backup
  shoal fsck sqlite:///srv/photos.db --data --key-file /root/photos.key    # of an encrypted volume
  shoal fsck sqlite:///srv/photos.db --repair

--repair mends counts, entries that lead nowhere, and what sessions and queues
keep wrongly. Inodes without a name get one in /lost+found. No bytes of a file
are thrown away, and objects that are missing stay missing: their files are told.

Each finding is one line on standard output, with what was done about it.
Exit code 0: there are none, or none is left; 1: some are.")]
pub struct Arguments {
    /// The volume's metadata, for example sqlite:///srv/volume.db
    pub meta_url: String,
    /// Also read every byte and verify its checksums, as shoal verify --all does
    #[arg(long)]
    pub data: bool,
    /// Mend what can be; needs that nobody has the volume mounted
    #[arg(long)]
    pub repair: bool,
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
    let objects = Storage::of(&opened)?.open()?;
    let blind = opened.without_key();
    let mut findings = match arguments.repair {
        true => mending::mend(&url, &blind)?,
        false => check_metadata(&url, &blind)?,
    };
    let bucket = Bucket::list(&objects)?;
    let mut needs = Needs::of_volume(&blind)?;
    findings += bucket::tell(&blind, &bucket::losses(&opened, &objects, &bucket, &needs)?)?;
    if arguments.data {
        // What is missing or of another length has been told already.
        needs.objects.retain(|need| bucket.lacks(need, &opened.settings).is_none());
        let checked = Checked::read(&opened, &objects, &needs)?;
        findings += bucket::tell(&blind, &checked.losses)?;
        say(checked);
    }
    let name = &opened.settings.name;
    match findings {
        0 => say(format_args!("the volume {name} is sound")),
        _ => say(format_args!("the volume {name} has {}", count(findings, "finding", "findings"))),
    }
    Ok(if findings == 0 { Exit::Success } else { Exit::Findings })
}

fn check_metadata(url: &MetaUrl, metadata: &Metadata) -> Outcome<u64> {
    let report = mending::look(url, metadata)?;
    report.findings.iter().try_for_each(output::print)?;
    if report.unlisted > 0 {
        output::print(format_args!("the volume: {} more", count(report.unlisted, "finding", "findings")))?;
    }
    let findings = report.findings.len() as u64 + report.unlisted;
    if findings > 0 {
        say(format_args!("to mend what can be, on a volume that nobody has mounted: shoal fsck {url} --repair"));
    }
    Ok(findings)
}
