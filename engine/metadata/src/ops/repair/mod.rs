//! Mending what the check has found: each finding by one transaction, which first looks whether it is still so.
//!
//! **Nobody else may be at work.** A transaction reads that no session is registered, so one that begins meanwhile conflicts
//! with it. What is left running beside are operations that keep the volume sound.
//!
//! **Nothing that holds bytes is thrown away.** What has lost its name gets one in `lost+found`; what has lost its identity
//! gets a new one, for root alone. Removed are entries that lead nowhere, and records of nothing.
//!
//! One mended finding can bring up another (an inode that gets an identity again needs a name), so whoever calls this checks
//! again until nothing more is mended.

mod content;
mod counters;
mod kept;
mod lost_found;
mod names;
mod strays;

use crate::check::{Finding, Problem};
use crate::keys::{self, Key};
use crate::records::Dirent;
use crate::{MetaError, MetaResult, Metadata};
use shoal_kv::{Attempt, Direction, Durability, KeyRange, KvResult, Reader, Transaction, Verdict};
use shoal_types::{Errno, Ino, ObjectId, Timestamp};

/// What became of a finding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Repair {
    /// By doing this.
    Done(&'static str),
    /// It is not so any more.
    NotNeeded,
    /// For this reason.
    NotPossible(&'static str),
}

impl Metadata {
    /// Mends one finding of a check, if that can be done. `EBUSY` while a session lives.
    pub fn repair(&self, finding: &Finding, now: Timestamp) -> MetaResult<Repair> {
        let places = self.at_snapshot(|reader| Ok(Places::find(reader, finding)?))?;
        let finding = finding.clone();
        let body = move |transaction: &mut dyn Transaction, attempt: Attempt| {
            if attempt.maybe_committed {
                // To mend it twice would be worse than to find it once more.
                return Ok((Ok(Repair::NotNeeded), Verdict::Abort));
            }
            match run(transaction, &finding, &places, now) {
                Ok(repair @ Repair::Done(_)) => Ok((Ok(repair), Verdict::Commit)),
                Ok(repair) => Ok((Ok(repair), Verdict::Abort)),
                Err(MetaError::Refused(errno)) => Ok((Err(errno), Verdict::Abort)),
                Err(MetaError::Store(error)) => Err(error),
            }
        };
        self.kv().transact(Durability::Visible, body)?.map_err(Into::into)
    }
}

/// Keys that only a look through many can find. Each is looked at again before anything is done about it.
#[derive(Default)]
struct Places {
    /// Directories and names that lead to the inode.
    entries: Vec<(Ino, Vec<u8>)>,
    /// Its times in the removal queue.
    removals: Vec<u64>,
    /// The object's times in the deletion queue.
    deletions: Vec<u64>,
    objects_end: u64,
}

impl Places {
    fn find(reader: &mut dyn Reader, finding: &Finding) -> KvResult<Self> {
        use Problem::*;
        let mut places = Places::default();
        match (&finding.problem, finding.ino) {
            (Loop | SeveralNames { .. } | Trashed, Some(ino)) => places.entries = entries_of(reader, ino)?,
            (QueuedNowhere | QueuedWithName | QueuePlace, Some(ino)) => {
                for_each(reader, keys::tag(b'u'), &mut |key, _| match Key::parse(key) {
                    Some(Key::Removal(time, queued)) if queued == ino => places.removals.push(time),
                    _ => {}
                })?;
            }
            (LiveAndQueued { object } | LiveBytes { object, .. }, _) => {
                places.deletions =
                    deletions(reader)?.filter(|(_, queued)| queued == object).map(|(at, _)| at).collect();
            }
            (CounterMissing { .. } | NotHandedOut { .. }, _) => {
                places.objects_end = deletions(reader)?.map(|(_, object)| object.0 + 1).max().unwrap_or(0);
            }
            _ => {}
        }
        Ok(places)
    }
}

fn deletions(reader: &mut dyn Reader) -> KvResult<impl Iterator<Item = (u64, ObjectId)>> {
    let mut found = Vec::new();
    for_each(reader, keys::tag(b'z'), &mut |key, _| {
        if let Some(Key::Deletion(time, object)) = Key::parse(key) {
            found.push((time, object));
        }
    })?;
    Ok(found.into_iter())
}

fn entries_of(reader: &mut dyn Reader, ino: Ino) -> KvResult<Vec<(Ino, Vec<u8>)>> {
    let mut found = Vec::new();
    for_each(reader, keys::tag(b'n'), &mut |key, value| {
        if let Some(Key::Dirent(parent, _, name)) = Key::parse(key)
            && Dirent::decode(value).is_ok_and(|entry| entry.ino == ino)
        {
            found.push((parent, name.to_vec()));
        }
    })?;
    Ok(found)
}

fn for_each(reader: &mut dyn Reader, mut range: KeyRange, found: &mut dyn FnMut(&[u8], &[u8])) -> KvResult<()> {
    loop {
        let pairs = reader.scan(&range, BATCH, Direction::Forward)?;
        pairs.iter().for_each(|(key, value)| found(key, value));
        match pairs.last() {
            Some((last, _)) if pairs.len() == BATCH => range = keys::behind(last, &range),
            _ => return Ok(()),
        }
    }
}

fn run(transaction: &mut dyn Transaction, finding: &Finding, places: &Places, now: Timestamp) -> MetaResult<Repair> {
    use Problem::*;
    if !transaction.scan(&keys::tag(b's'), 1, Direction::Forward)?.is_empty() {
        return Err(Errno::EBUSY.into());
    }
    let volume = match &finding.problem {
        RootMissing => return strays::rebuild(transaction, Ino::ROOT, now),
        CounterMissing { counter } | NotHandedOut { counter, .. } => {
            return counters::raise(transaction, counter, places, now);
        }
        LiveBytes { object, recorded, counted } => {
            return content::count_object(transaction, *object, (*recorded, *counted), places, now);
        }
        PackNotes { object } => return kept::drop_pack_notes(transaction, *object),
        LiveAndQueued { object } => return kept::unqueue_object(transaction, *object, places),
        UsedBytes { recorded, counted } => Some(counters::used_bytes(transaction, *recorded, *counted)?),
        StagedBytes { recorded, counted } => Some(counters::staged_bytes(transaction, *recorded, *counted)?),
        UsedInodes { recorded, counted } => Some(counters::used_inodes(transaction, *recorded, *counted)?),
        AccountBytes { account, recorded, counted } => {
            Some(counters::account_bytes(transaction, *account, *recorded, *counted)?)
        }
        AccountInodes { account, recorded, counted } => {
            Some(counters::account_inodes(transaction, *account, *recorded, *counted)?)
        }
        CloneNotes { clone } => Some(kept::drop_clone(transaction, *clone)?),
        SettingsMissing => Some(Repair::NotPossible("nothing else tells what they were")),
        UnknownKey { .. } => Some(Repair::NotPossible("a newer program may know what it means")),
        SessionGone { .. } => Some(Repair::NotPossible("it is done by ending the session")),
        _ => None,
    };
    match (volume, finding.ino) {
        (Some(repair), _) => Ok(repair),
        (None, Some(ino)) => of_inode(transaction, ino, &finding.problem, places, now),
        (None, None) => Ok(Repair::NotPossible(UNREADABLE)),
    }
}

fn of_inode(
    transaction: &mut dyn Transaction,
    ino: Ino,
    problem: &Problem,
    places: &Places,
    now: Timestamp,
) -> MetaResult<Repair> {
    use Problem::*;
    match problem {
        Stray => strays::rebuild(transaction, ino, now),
        DanglingEntry { name, target } => names::drop_dangling(transaction, ino, name, *target),
        EntryKind { name, target, .. } => names::set_kind(transaction, ino, name, *target),
        Cookie { name } => names::put_in_place(transaction, ino, name),
        Unreachable => lost_found::take(transaction, ino, now),
        Loop => names::cut_loop(transaction, ino, places, now),
        SeveralNames { .. } => names::keep_one(transaction, ino, places),
        LinkCount { recorded, names } => names::set_link_count(transaction, ino, *recorded, *names),
        Parent { recorded, actual } => names::set_parent(transaction, ino, *recorded, *actual),
        Trashed => names::settle_trash(transaction, ino, places),
        Entries { recorded, counted } => counters::entries(transaction, ino, *recorded, *counted),
        Subdirectories { recorded, counted } => counters::subdirectories(transaction, ino, *recorded, *counted),
        Allocated { recorded, counted } => content::count_allocated(transaction, ino, *recorded, *counted),
        BeyondEnd { length, .. } => content::raise_length(transaction, ino, *length),
        TargetLength { recorded, counted } => content::set_target_length(transaction, ino, *recorded, *counted),
        Misplaced { what } => content::drop_target(transaction, ino, what),
        XattrUnindexed { .. } | XattrMissing { .. } | XattrFlags => content::index_xattrs(transaction, ino),
        QuotaMark { recorded, wanted } => content::set_mark(transaction, ino, *recorded, *wanted),
        Locks { .. } => kept::drop_locks(transaction, ino),
        QueuedNowhere | QueuedWithName | QueuePlace => kept::queue_anew(transaction, ino, places, now),
        CloneNowhere | CloneWithName => kept::drop_clone(transaction, ino),
        SustainedNowhere { .. } | SustainedWithName { .. } => {
            Ok(Repair::NotPossible("it is done by ending the session"))
        }
        QuotaMissing => Ok(Repair::NotPossible("set a quota there and delete it again: shoal quota")),
        BadName { .. } => Ok(Repair::NotPossible("no other name is known")),
        _ => Ok(Repair::NotPossible(UNREADABLE)),
    }
}

const UNREADABLE: &str = "what it held cannot be read";
const BATCH: usize = 1000;
