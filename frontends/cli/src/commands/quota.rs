//! `shoal quota`: what a volume, its directories, users and groups may take, and what they take.

use crate::bucket;
use crate::clock;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::meta_url::MetaUrl;
use crate::mounted;
use crate::output::{self, count, say};
use crate::owners::Owners;
use crate::progress::Progress;
use crate::sessions::{self, Here};
use crate::size::ByteCount;
use crate::volume::{self, Opened};
use serde::Serialize;
use shoal_kv::Durability;
use shoal_metadata::check::{self, AccountCheck, Count};
use shoal_metadata::{
    Account, AdjustUsage, DeleteQuota, EndSession, Limits, MetaError, MetaOp, Metadata, QuotaInfo, QuotaState,
    RegisterSession, SessionKind, SetQuota,
};
use shoal_types::{Errno, Ino, Name};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

/// Limit what a volume, its directories, users and groups may take
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  shoal quota set /mnt/photos --path /alice --capacity 10G --inodes 100000
  shoal quota set sqlite:///srv/photos.db --volume --capacity 1T
  shoal quota set /mnt/photos --user alice --inodes 50000
  shoal quota get /mnt/photos --path /alice
  shoal quota list /mnt/photos --json | jq '.[] | select(.bytes_used > .bytes_limit)'
  shoal quota check sqlite:///srv/photos.db --repair
  shoal quota delete /mnt/photos --path /alice

Mounts obey a new limit at once. See docs/quotas.md for what counts where.")]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Set limits, or change them; what is there already is counted first
    Set(Set),
    /// Show one account: its limits and what it takes
    Get(Get),
    /// Show all accounts that are limited or counted
    List(List),
    /// Count everything anew and compare
    Check(Check),
    /// End the limits of an account
    Delete(Delete),
}

#[derive(clap::Args, Debug)]
struct Place {
    /// A volume's metadata, for example sqlite:///srv/volume.db, or where it is mounted
    #[arg(value_name = "META-URL|MOUNTPOINT")]
    place: String,
}

/// What is limited: one of these.
#[derive(clap::Args, Debug)]
#[group(required = true, multiple = false)]
struct Target {
    /// The volume as a whole
    #[arg(long)]
    volume: bool,
    /// A directory and all below it; its path from the volume's root
    #[arg(long, value_name = "PATH")]
    path: Option<PathBuf>,
    /// What a user owns; a name of this machine or a number
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// What a group owns
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
}

#[derive(clap::Args, Debug)]
struct Set {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    target: Target,
    /// The most bytes, for example 10G, or none; left out, it stays as it is
    #[arg(long, value_name = "SIZE")]
    capacity: Option<Limit<ByteCount>>,
    /// The most files, directories and other inodes, or none; left out, it stays as it is
    #[arg(long, value_name = "N")]
    inodes: Option<Limit<u64>>,
}

#[derive(clap::Args, Debug)]
struct Get {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    target: Target,
    /// For programs: an element of what list prints
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args, Debug)]
#[command(after_help = "\
--json prints an array; names stay, new ones may come:
  kind         volume, directory, user or group
  id           inode, uid or gid; 0 for the volume
  path         of a directory, from the volume's root
  name         of a user or group, where this machine has one
  state        active, counting (what was there before is being counted),
               removing (the quota is being given up) or unlimited
  bytes_used, bytes_limit, inodes_used, inodes_limit; no limit is null")]
struct List {
    #[command(flatten)]
    place: Place,
    /// For programs
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args, Debug)]
#[command(after_help = "\
The volume may be in use. Each difference is one line on standard output.
Exit code 0: none, or repaired; 1: some.")]
struct Check {
    #[command(flatten)]
    place: Place,
    /// Put right what is recorded wrongly, and go on with what a killed command has left half done
    #[arg(long)]
    repair: bool,
}

#[derive(clap::Args, Debug)]
struct Delete {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    target: Target,
}

/// A number, or `none`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit<T>(Option<T>);

impl<T: FromStr> FromStr for Limit<T>
where
    T::Err: std::fmt::Display,
{
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Limit(None)),
            text => text.parse().map(|number| Limit(Some(number))).map_err(|error: T::Err| format!("{error}, or none")),
        }
    }
}

pub fn run(arguments: Arguments) -> Outcome<Exit> {
    match arguments.command {
        Command::Set(set) => run_set(&set),
        Command::Get(get) => run_get(&get),
        Command::List(list) => run_list(&list),
        Command::Check(check) => run_check(&check),
        Command::Delete(delete) => run_delete(&delete),
    }
}

/// `quota set --volume`.
pub fn limit_volume(place: &str, capacity: Option<Limit<ByteCount>>, inodes: Option<Limit<u64>>) -> Outcome<()> {
    let target = Target { volume: true, path: None, user: None, group: None };
    run_set(&Set { place: Place { place: place.to_owned() }, target, capacity, inodes }).map(drop)
}

/// A volume and the words for what it limits.
struct Volume {
    url: MetaUrl,
    opened: Opened,
    owners: Owners,
}

fn run_set(set: &Set) -> Outcome<Exit> {
    if set.capacity.is_none() && set.inodes.is_none() {
        return Err(Failure::usage("quota set: neither --capacity nor --inodes is given; name one limit at least"));
    }
    let volume = Volume::open(&set.place)?;
    let account = volume.account(&set.target)?;
    let now = volume.info(account)?.limits;
    let limits = Limits {
        bytes: set.capacity.map_or(now.bytes, |limit| limit.0.map(|bytes| bytes.0)),
        inodes: set.inodes.map_or(now.inodes, |limit| limit.0),
    };
    volume.run_when_settled(&MetaOp::SetQuota(SetQuota { account, limits }), &set.target)?;
    volume.settle()?;
    say(volume.sentence(&volume.info(account)?)?);
    Ok(Exit::Success)
}

fn run_get(get: &Get) -> Outcome<Exit> {
    let volume = Volume::open(&get.place)?;
    let info = volume.info(volume.account(&get.target)?)?;
    match get.json {
        true => output::print_json(&volume.line(&info)?)?,
        false => output::print(table(&[volume.line(&info)?]))?,
    }
    Ok(Exit::Success)
}

fn run_list(list: &List) -> Outcome<Exit> {
    let volume = Volume::open(&list.place)?;
    let infos = volume.opened.metadata.quotas().map_err(|error| volume.failed(&error))?;
    let shown = infos.iter().filter(|info| info.state != Some(QuotaState::Gone));
    let lines = shown.map(|info| volume.line(info)).collect::<Outcome<Vec<_>>>()?;
    match list.json {
        true => output::print_json(&lines)?,
        false => output::print(table(&lines))?,
    }
    Ok(Exit::Success)
}

fn run_check(check: &Check) -> Outcome<Exit> {
    let volume = Volume::open(&check.place)?;
    if check.repair {
        volume.settle()?;
    }
    let progress = Progress::count("counting inodes");
    let checks = check::accounts(&volume.opened.metadata, &mut |inodes| progress.set(inodes));
    let checks = checks.map_err(|error| volume.failed(&error))?;
    drop(progress);
    let wrong: Vec<AccountCheck> = checks.into_iter().filter(|check| check.recorded != check.counted).collect();
    for AccountCheck { account, recorded, counted } in &wrong {
        let words = |Count { bytes, inodes }: Count| format!("{bytes} bytes in {inodes} inodes");
        let account = volume.words(*account)?;
        output::print(format_args!("{account}: recorded {}, found {}", words(*recorded), words(*counted)))?;
    }
    let found = count(wrong.len() as u64, "account", "accounts");
    match (wrong.is_empty(), check.repair) {
        (true, _) => say("what is recorded is what there is"),
        (false, true) => {
            volume.repair(&wrong)?;
            say(format_args!("repaired {found}"));
            return Ok(Exit::Success);
        }
        (false, false) => say(format_args!("{found} recorded wrongly; to repair: shoal quota check --repair")),
    }
    Ok(if wrong.is_empty() { Exit::Success } else { Exit::Findings })
}

fn run_delete(delete: &Delete) -> Outcome<Exit> {
    let volume = Volume::open(&delete.place)?;
    let account = volume.account(&delete.target)?;
    let info = volume.info(account)?;
    if info.state.is_none() {
        return Err(Failure::new(
            Exit::NotFound,
            volume.words(account)?,
            "it has no quota",
            format_args!("see what has one: shoal quota list {}", delete.place.place),
        ));
    }
    volume.run_when_settled(&MetaOp::DeleteQuota(DeleteQuota { account }), &delete.target)?;
    volume.settle()?;
    say(format_args!("{} has no quota any more", volume.words(account)?));
    Ok(Exit::Success)
}

impl Volume {
    fn open(place: &Place) -> Outcome<Self> {
        let url = mounted::url_of(&place.place)?;
        let opened = volume::open(&url)?;
        Ok(Volume { url, opened, owners: Owners::read() })
    }

    fn failed(&self, error: &MetaError) -> Failure {
        Failure::of_metadata(&self.url, error)
    }

    fn info(&self, account: Account) -> Outcome<QuotaInfo> {
        self.opened.metadata.quota(account).map_err(|error| self.failed(&error))
    }

    fn account(&self, target: &Target) -> Outcome<Account> {
        match target {
            Target { path: Some(path), .. } => Ok(Account::Directory(directory(&self.opened.metadata, path)?)),
            Target { user: Some(user), .. } => self.owners.user(user).map(Account::User),
            Target { group: Some(group), .. } => self.owners.group(group).map(Account::Group),
            _ => Ok(Account::Volume),
        }
    }

    /// While another quota is being counted or given up, that comes first.
    fn run_when_settled(&self, operation: &MetaOp, target: &Target) -> Outcome<()> {
        loop {
            match self.opened.metadata.run(operation.clone(), Durability::Durable) {
                Ok(_) => return Ok(()),
                Err(MetaError::Refused(Errno::EBUSY)) => self.settle()?,
                Err(MetaError::Refused(errno)) => return Err(self.explain(errno, target)),
                Err(error) => return Err(self.failed(&error)),
            }
        }
    }

    fn explain(&self, errno: Errno, target: &Target) -> Failure {
        let what = target.path.as_deref().unwrap_or(Path::new("/")).display();
        match errno {
            Errno::ENOTDIR => Failure::new(Exit::Usage, what, "this is no directory", "name one with --path"),
            Errno::EMLINK => Failure::new(
                Exit::Usage,
                what,
                "too many directories above it have quotas",
                "end one of those: shoal quota delete",
            ),
            errno => self.failed(&errno.into()),
        }
    }

    /// Runs to its end what quotas have left to count or to hand over, also of other commands.
    fn settle(&self) -> Outcome<()> {
        let progress = Progress::count("counting");
        loop {
            let step = self.opened.metadata.run(MetaOp::WalkQuotas, Durability::Visible);
            let done = step.and_then(|reply| reply.into_ended().map_err(Into::into));
            if done.map_err(|error| self.failed(&error))? {
                return Ok(());
            }
            progress.add(1);
        }
    }

    /// By a session of its own: then the store can tell whether a change whose result got lost was made.
    fn repair(&self, wrong: &[AccountCheck]) -> Outcome<()> {
        let metadata = &self.opened.metadata;
        let failed = |error: MetaError| self.failed(&error);
        let record = Here::look()?.record(SessionKind::Command, Path::new(""));
        let register = MetaOp::RegisterSession(RegisterSession { record, now: clock::now() });
        let session = metadata.run(register, Durability::Visible).map_err(failed)?;
        let session = session.into_registered().map_err(|errno| failed(errno.into()))?;
        let mut repaired = Ok(());
        for AccountCheck { account, recorded, counted } in wrong {
            let (bytes, inodes) = (counted.bytes - recorded.bytes, counted.inodes - recorded.inodes);
            let adjust = MetaOp::AdjustUsage(AdjustUsage { account: *account, bytes, inodes, session });
            repaired = repaired.and(metadata.run(adjust, Durability::Durable).map(drop));
        }
        let end = EndSession { session, if_silent_since: None, now: clock::now() };
        sessions::run_to_end(metadata, &MetaOp::EndSession(end))?;
        repaired.map_err(failed)
    }

    fn words(&self, account: Account) -> Outcome<String> {
        Ok(match account {
            Account::Volume => format!("volume {}", self.opened.settings.name),
            Account::Directory(ino) => format!("directory {}", bucket::path_of(&self.opened.metadata, ino)?),
            Account::User(uid) => format!("user {}", self.owners.user_name(uid).unwrap_or(&uid.to_string())),
            Account::Group(gid) => format!("group {}", self.owners.group_name(gid).unwrap_or(&gid.to_string())),
        })
    }

    fn sentence(&self, info: &QuotaInfo) -> Outcome<String> {
        let Limits { bytes, inodes } = info.limits;
        let bytes = bytes.map_or("any number of bytes".into(), |bytes| ByteCount(bytes).to_string());
        let inodes = inodes.map_or("any number of inodes".into(), |inodes| count(inodes, "inode", "inodes"));
        let used = format!("{} in {}", ByteCount(info.usage.bytes), count(info.usage.inodes, "inode", "inodes"));
        Ok(format!("{} may take {bytes} in {inodes}; it takes {used}", self.words(info.account)?))
    }

    fn line(&self, info: &QuotaInfo) -> Outcome<Line> {
        let (kind, id, name) = match info.account {
            Account::Volume => ("volume", 0, None),
            Account::Directory(ino) => ("directory", ino.0, None),
            Account::User(uid) => ("user", uid.into(), self.owners.user_name(uid)),
            Account::Group(gid) => ("group", gid.into(), self.owners.group_name(gid)),
        };
        let path = match info.account {
            Account::Directory(ino) => Some(bucket::path_of(&self.opened.metadata, ino)?),
            _ => None,
        };
        Ok(Line {
            kind,
            id,
            path,
            name: name.map(str::to_owned),
            state: state(info),
            bytes_used: info.usage.bytes,
            bytes_limit: info.limits.bytes,
            inodes_used: info.usage.inodes,
            inodes_limit: info.limits.inodes,
        })
    }
}

#[derive(Serialize)]
struct Line {
    kind: &'static str,
    id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    state: &'static str,
    bytes_used: u64,
    bytes_limit: Option<u64>,
    inodes_used: u64,
    inodes_limit: Option<u64>,
}

fn state(info: &QuotaInfo) -> &'static str {
    match info.state {
        Some(QuotaState::Counting) => "counting",
        Some(QuotaState::Removing | QuotaState::Gone) => "removing",
        _ if info.limits.is_none() => "unlimited",
        _ => "active",
    }
}

fn table(lines: &[Line]) -> String {
    let head = ["KIND", "WHAT", "STATE", "USED", "OF", "INODES", "OF"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(lines.iter().map(|line| {
        let what = line.path.clone().or_else(|| line.name.clone()).unwrap_or_else(|| match line.kind {
            "volume" => String::new(),
            _ => line.id.to_string(),
        });
        let none = || "-".to_owned();
        vec![
            line.kind.to_owned(),
            what,
            line.state.to_owned(),
            ByteCount(line.bytes_used).to_string(),
            line.bytes_limit.map_or_else(none, |bytes| ByteCount(bytes).to_string()),
            line.inodes_used.to_string(),
            line.inodes_limit.map_or_else(none, |inodes| inodes.to_string()),
        ]
    }));
    output::columns(&rows)
}

/// The directory at a path from the volume's root. Symbolic links are not followed.
fn directory(metadata: &Metadata, path: &Path) -> Outcome<Ino> {
    let mut ino = Ino::ROOT;
    for part in path.components() {
        let name = match part {
            Component::RootDir | Component::CurDir => continue,
            Component::Normal(name) => name,
            Component::ParentDir | Component::Prefix(_) => {
                let cure = "name the directory by its path from the volume's root";
                return Err(Failure::new(Exit::Usage, path.display(), "'..' is not followed", cure));
            }
        };
        let found = Name::new(OsStr::as_bytes(name)).map_err(Into::into);
        ino = found.and_then(|name| metadata.lookup(ino, &name)).map_err(|error| no_directory(path, &error))?.ino;
    }
    Ok(ino)
}

fn no_directory(path: &Path, error: &MetaError) -> Failure {
    match error {
        MetaError::Refused(Errno::ENOENT | Errno::ENOTDIR) => Failure::new(
            Exit::NotFound,
            path.display(),
            "there is no such directory in the volume",
            "name it by its path from the volume's root",
        ),
        error => Failure::of_metadata(path.display(), error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_or_none() {
        assert_eq!("10G".parse::<Limit<ByteCount>>(), Ok(Limit(Some(ByteCount(10 << 30)))));
        assert_eq!("none".parse::<Limit<ByteCount>>(), Ok(Limit(None)));
        assert_eq!("0".parse::<Limit<u64>>(), Ok(Limit(Some(0))));
        assert!("many".parse::<Limit<u64>>().unwrap_err().contains("none"));
        assert!("-1".parse::<Limit<u64>>().is_err());
    }
}
