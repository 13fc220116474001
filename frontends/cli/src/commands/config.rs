//! `shoal config`: what can be changed about a volume that is there.

use crate::clock;
use crate::commands::quota::{self, Limit};
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::key_source::KeyArguments;
use crate::meta_url::MetaUrl;
use crate::mounted;
use crate::output::{self, count, say};
use crate::size::ByteCount;
use crate::storage::Storage;
use crate::storage_secrets;
use crate::volume::{self, Opened};
use serde::Serialize;
use shoal_kv::Durability;
use shoal_metadata::{Account, MetaError, MetaOp, Metadata, SetTrash};
use shoal_types::Errno;

/// Show what can be changed about a volume, or change it
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  shoal config /mnt/photos
  shoal config /mnt/photos --trash-days 7
  shoal config sqlite:///srv/photos.db --capacity 2T --inodes none
  SHOAL_STORAGE_CREDENTIALS_FILE=new.txt shoal config /mnt/a --seal-credentials --key-file /root/a.key

Mounts act by a change at once; they ask for other credentials every ten seconds, and as
soon as the store refuses theirs. What opens an encrypted volume is changed by shoal key
rotate. See docs/trash.md for what is kept and where, docs/storage.md for credentials.")]
pub struct Arguments {
    /// A volume's metadata, for example sqlite:///srv/volume.db, or where it is mounted
    #[arg(value_name = "META-URL|MOUNTPOINT")]
    pub place: String,
    /// Keep removed files for so many days; 0: not at all, and what is in the trash goes too
    #[arg(long, value_name = "N")]
    pub trash_days: Option<u32>,
    /// The most bytes it may take, for example 10T, or none
    #[arg(long, value_name = "SIZE")]
    pub capacity: Option<Limit<ByteCount>>,
    /// The most files, directories and other inodes it may have, or none
    #[arg(long, value_name = "N")]
    pub inodes: Option<Limit<u64>>,
    /// Keep what the environment says about the credentials of the object store in the metadata, sealed with the volume's
    /// key, in place of what is there. They are tried first
    #[arg(long, conflicts_with = "unseal_credentials")]
    pub seal_credentials: bool,
    /// Keep no credentials in the metadata any more: every mount needs them in its environment then
    #[arg(long)]
    pub unseal_credentials: bool,
    #[command(flatten)]
    pub key: KeyArguments,
    /// For programs: an object with trash_days, capacity, inodes (null where there is no limit), and credentials: sealed or
    /// environment
    #[arg(long)]
    pub json: bool,
}

#[derive(Serialize)]
struct Shown {
    trash_days: u32,
    capacity: Option<u64>,
    inodes: Option<u64>,
    credentials: &'static str,
}

pub fn run(arguments: Arguments) -> Outcome<Exit> {
    let url = mounted::url_of(&arguments.place)?;
    let key = arguments.key.source()?;
    match (&key, arguments.seal_credentials) {
        (_, true) => seal_credentials(&url, &volume::open_unlocked(&url, key.as_ref())?)?,
        (Some(key), false) => {
            return Err(Failure::usage(format_args!("{key}: only --seal-credentials needs a key; leave it out")));
        }
        (None, false) => {}
    }
    let opened = volume::open(&url)?;
    if arguments.unseal_credentials {
        replace_credentials(&url, &opened, None)?;
        say("the metadata holds no credentials any more");
    }
    if arguments.capacity.is_some() || arguments.inodes.is_some() {
        quota::limit_volume(&arguments.place, arguments.capacity, arguments.inodes)?;
    }
    if let Some(days) = arguments.trash_days {
        set_trash(&url, &opened, days)?;
    }
    let shown = look(&opened).map_err(|error| Failure::of_metadata(&url, &error))?;
    match arguments.json {
        true => output::print_json(&shown)?,
        false => output::print(shown.table())?,
    }
    Ok(Exit::Success)
}

fn look(opened: &Opened) -> Result<Shown, MetaError> {
    let limits = opened.metadata.quota(Account::Volume)?.limits;
    let sealed = Metadata::storage_secrets(opened.kv.as_ref())?.is_some();
    Ok(Shown {
        trash_days: opened.metadata.accounting()?.trash_days,
        capacity: limits.bytes,
        inodes: limits.inodes,
        credentials: if sealed { "sealed" } else { "environment" },
    })
}

impl Shown {
    fn table(&self) -> String {
        let limit = |limit: Option<String>| limit.unwrap_or_else(|| "none".into());
        output::columns(&[
            vec!["trash-days".into(), self.trash_days.to_string()],
            vec!["capacity".into(), limit(self.capacity.map(|bytes| ByteCount(bytes).to_string()))],
            vec!["inodes".into(), limit(self.inodes.map(|inodes| inodes.to_string()))],
            vec!["credentials".into(), self.credentials.into()],
        ])
    }
}

/// Those of the environment, if they open the store.
fn seal_credentials(url: &MetaUrl, opened: &Opened) -> Outcome<()> {
    let storage = Storage::by_environment(opened)?;
    let sealed = storage_secrets::sealed(storage.secrets(), opened.sealer.as_ref())?;
    drop(storage.open()?);
    replace_credentials(url, opened, Some(sealed))?;
    say("the credentials are sealed in the metadata; mounts that use what was sealed take them within ten seconds");
    Ok(())
}

fn replace_credentials(url: &MetaUrl, opened: &Opened, sealed: Option<Vec<u8>>) -> Outcome<()> {
    let replaced = Metadata::replace_storage_secrets(opened.kv.as_ref(), sealed);
    replaced.map_err(|error| match error {
        MetaError::Refused(Errno::EINVAL) => Failure::new(
            Exit::Usage,
            url,
            "the volume is not encrypted, so its metadata holds no credentials",
            "change them in the environment of its mounts",
        ),
        error => Failure::of_metadata(url, &error),
    })
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
