//! `shoal config`: what can be changed about a volume that is there.

use crate::clock;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::meta_url::MetaUrl;
use crate::mounted;
use crate::output::{self, count, say};
use crate::volume::{self, Opened};
use serde::Serialize;
use shoal_kv::Durability;
use shoal_metadata::{MetaError, MetaOp, SetTrash};
use shoal_types::Errno;

/// Show what can be changed about a volume, or change it
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  shoal config /mnt/photos
  shoal config /mnt/photos --trash-days 7
  shoal config sqlite:///srv/photos.db --trash-days 0

Mounts act by a change at once. See docs/trash.md for what is kept and where.")]
pub struct Arguments {
    /// A volume's metadata, for example sqlite:///srv/volume.db, or where it is mounted
    #[arg(value_name = "META-URL|MOUNTPOINT")]
    pub place: String,
    /// Keep removed files for so many days; 0: not at all, and what is in the trash goes too
    #[arg(long, value_name = "N")]
    pub trash_days: Option<u32>,
    /// For programs: an object with trash_days
    #[arg(long)]
    pub json: bool,
}

#[derive(Serialize)]
struct Shown {
    trash_days: u32,
}

pub fn run(arguments: Arguments) -> Outcome<Exit> {
    let url = mounted::url_of(&arguments.place)?;
    let opened = volume::open(&url)?;
    if let Some(days) = arguments.trash_days {
        set_trash(&url, &opened, days)?;
    }
    let accounting = opened.metadata.accounting().map_err(|error| Failure::of_metadata(&url, &error))?;
    let trash_days = accounting.trash_days;
    match arguments.json {
        true => output::print_json(&Shown { trash_days })?,
        false => output::print(output::columns(&[vec!["trash-days".into(), trash_days.to_string()]]))?,
    }
    Ok(Exit::Success)
}

fn set_trash(url: &MetaUrl, opened: &Opened, days: u32) -> Outcome<()> {
    let set = MetaOp::SetTrash(SetTrash { days, now: clock::now() });
    opened.metadata.run(set, Durability::Durable).map_err(|error| match error {
        MetaError::Refused(Errno::EEXIST) => Failure::new(
            Exit::InUse,
            url,
            "its root has an entry .trash, where the trash would have to be found",
            "rename that entry and try again",
        ),
        error => Failure::of_metadata(url, &error),
    })?;
    match days {
        0 => say("removed files are no longer kept; mounts are emptying the trash"),
        days => say(format_args!("removed files are kept for {}", count(days.into(), "day", "days"))),
    }
    Ok(())
}
