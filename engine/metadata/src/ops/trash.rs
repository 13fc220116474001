//! The trash: what has lost its last name is kept for a while under another one, in the directory of the hour.
//!
//! **Where it is.** The trash and its hours are directories with numbers of their own (`Ino::TRASH` and those behind it, by
//! the hours since the epoch). So nothing needs to be read to know one, or to find the hour that something goes to. `.trash`
//! is no entry of the root: it's found by whoever asks for that name, and not listed.
//!
//! **What is in it** has no name as far as programs can tell: `nlink` is 0, so that a descriptor tells what it tells of any
//! removed file, and nothing can be made in a removed directory. A flag says that the trash has it. Its name there is made of
//! the directory it comes from, its own number, and the name it had; no two are equal, because the number has no other place.
//!
//! **What is removed there** is removed for good, at any depth: a tree that was removed as a whole lies there as it was.

use super::charges::Charges;
use super::parent::{self, Counts};
use super::quota;
use crate::inode;
use crate::keys::Key;
use crate::reads::DEPTH_MAX;
use crate::records::{Identity, Rules, encode_origin};
use crate::{MetaResult, TrashName};
use shoal_kv::Transaction;
use shoal_types::{Errno, FileKind, Ino, InodeFlags, Name, Timestamp};

/// Whether what loses its last name in this directory is kept. The way up is read without conflicts: a directory that is
/// removed or taken back at the same moment may be found in either place.
pub(super) fn keeps(transaction: &mut dyn Transaction, rules: Rules, directory: Ino) -> MetaResult<bool> {
    if !rules.trash {
        return Ok(false);
    }
    let mut ino = directory;
    for _ in 0..DEPTH_MAX {
        if ino == Ino::ROOT {
            return Ok(true);
        }
        if ino.is_trash() {
            return Ok(false);
        }
        let Some(value) = transaction.get_unchecked(&Key::Identity(ino).encode())? else { return Ok(false) };
        let identity = Identity::decode(&value)?;
        if !has_name(&identity) {
            // A tree that is just being removed for good.
            return Ok(false);
        }
        ino = identity.parent;
    }
    Ok(false)
}

/// Some directory has an entry for it: the trash too.
pub(crate) fn has_name(identity: &Identity) -> bool {
    identity.nlink > 0 || identity.flags.has(InodeFlags::TRASHED)
}

/// An inode loses one name. Tells whether it has none any more.
pub(super) fn lose_name(transaction: &mut dyn Transaction, ino: Ino, identity: &mut Identity) -> bool {
    match identity.flags.has(InodeFlags::TRASHED) {
        true => leave(transaction, ino, identity),
        false => identity.nlink = identity.nlink.saturating_sub(1),
    }
    identity.nlink == 0
}

/// An inode that has lost its last name comes into the trash. `identity` is as it shall stay, with no name left.
///
/// It leaves the quotas of directories, as if it were moved out of them. A tree as a whole stays in them, because all that
/// lies below it would have to be changed.
pub(super) fn keep(
    transaction: &mut dyn Transaction,
    charges: &mut Charges,
    (ino, identity): (Ino, &Identity),
    (from, name): (Ino, &Name),
    now: Timestamp,
) -> MetaResult<()> {
    assert_eq!(identity.nlink, 0, "what has a name is not in the trash");
    let hour = open_hour(transaction, charges.rules(), now)?;
    let flags = identity.flags.with(InodeFlags::TRASHED, true);
    let mut kept = Identity { parent: hour, flags, ..identity.clone() };
    if !identity.is_directory() || super::rmdir::is_empty(transaction, ino)? {
        leave_quotas(transaction, charges, ino, &mut kept)?;
    }
    transaction.put(&Key::Identity(ino).encode(), &kept.encode());
    let TrashName { name: kept_name, whole } = TrashName::new(from, ino, name);
    if !whole {
        transaction.put(&Key::Origin(ino).encode(), &encode_origin(from, name));
    }
    parent::put_name(transaction, hour, &kept_name, ino, identity.kind);
    parent::touch(transaction, hour, Counts::default().gain(identity.kind), now);
    Ok(())
}

fn leave_quotas(
    transaction: &mut dyn Transaction,
    charges: &mut Charges,
    ino: Ino,
    identity: &mut Identity,
) -> MetaResult<()> {
    let Some(root) = identity.quota else { return Ok(()) };
    let bytes = inode::load(transaction, ino)?.allocated;
    if root == ino {
        quota::retire(transaction, ino)?;
    }
    let before = identity.clone();
    identity.quota = None;
    charges.shift(&before, identity, bytes);
    Ok(())
}

/// Something is taken out of the trash; its name there is the caller's.
pub(super) fn leave(transaction: &mut dyn Transaction, ino: Ino, identity: &mut Identity) {
    identity.flags = identity.flags.with(InodeFlags::TRASHED, false);
    transaction.delete(&Key::Origin(ino).encode());
}

/// The directory of this hour. It's made for the first that comes into it, whatever limits say: removing must not fail for
/// want of room.
fn open_hour(transaction: &mut dyn Transaction, rules: Rules, now: Timestamp) -> MetaResult<Ino> {
    let hour = hour_at(now);
    if transaction.get(&Key::Identity(hour).encode())?.is_none() {
        put_directory(transaction, rules, (hour, HOUR_MODE), Ino::TRASH, now)?;
        parent::put_name(transaction, Ino::TRASH, &hour_name(hour), hour, FileKind::Directory);
        parent::touch(transaction, Ino::TRASH, Counts::default().gain(FileKind::Directory), now);
    }
    Ok(hour)
}

/// Makes the trash itself, if there is none. `EEXIST` where the root has an entry of its name.
pub(crate) fn make(transaction: &mut dyn Transaction, rules: Rules, now: Timestamp) -> MetaResult<()> {
    if exists(transaction)? {
        return Ok(());
    }
    if transaction.get(&Key::dirent(Ino::ROOT, &TrashName::of_all()).encode())?.is_some() {
        return Err(Errno::EEXIST.into());
    }
    put_directory(transaction, rules, (Ino::TRASH, TRASH_MODE), Ino::ROOT, now)
}

fn put_directory(
    transaction: &mut dyn Transaction,
    rules: Rules,
    (ino, mode): (Ino, u16),
    parent: Ino,
    now: Timestamp,
) -> MetaResult<()> {
    let identity = Identity { mode, owners: rules.owners, ..Identity::new(FileKind::Directory, parent, now) };
    transaction.put(&Key::Identity(ino).encode(), &identity.encode());
    let mut charges = Charges::new(rules);
    charges.add(&identity, 1, 0);
    charges.write(transaction)
}

/// The name stands for the trash, and can't be given to anything else or taken away.
pub(super) fn is_trash(transaction: &mut dyn Transaction, parent: Ino, name: &Name) -> MetaResult<bool> {
    Ok(parent == Ino::ROOT && TrashName::is_of_all(name) && exists(transaction)?)
}

fn exists(transaction: &mut dyn Transaction) -> MetaResult<bool> {
    Ok(transaction.get(&Key::Identity(Ino::TRASH).encode())?.is_some())
}

/// Where what is removed at this moment goes to.
pub(crate) fn hour_at(now: Timestamp) -> Ino {
    Ino(FIRST_HOUR + now.as_nanos() / (3600 * 1_000_000_000))
}

/// `2026-11-26-04`, in UTC.
pub(super) fn hour_name(hour: Ino) -> Name {
    let hours = hour.0 - FIRST_HOUR;
    let (year, month, day) = civil(hours / 24);
    let text = format!("{year:04}-{month:02}-{day:02}-{:02}", hours % 24);
    Name::new(text.as_bytes()).expect("a date is a name")
}

/// The date so many days after 1970-01-01. Years are counted from March, so that the leap day is a year's last, and in
/// cycles of 400 of them, which have 146,097 days.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (cycle, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (cycle * 400 + year + next_year, month, day)
}

const FIRST_HOUR: u64 = Ino::TRASH.0 + 1;
/// Only root makes and removes hours.
const TRASH_MODE: u16 = 0o755;
/// As `/tmp`: everybody may take out or remove what is theirs.
const HOUR_MODE: u16 = 0o1777;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_have_their_dates_as_names_and_numbers_in_the_order_of_time() {
        let named = |seconds| hour_name(hour_at(Timestamp::new(seconds, 0))).to_string();
        for (seconds, name) in [
            (0, "1970-01-01-00"),
            (3_599, "1970-01-01-00"),
            (3_600, "1970-01-01-01"),
            (951_782_400, "2000-02-29-00"),
            (951_868_800, "2000-03-01-00"),
            (1_709_210_096, "2024-02-29-12"),
            (1_795_669_200, "2026-11-26-05"),
            (4_107_542_399, "2100-02-28-23"),
            (4_107_542_400, "2100-03-01-00"),
        ] {
            assert_eq!(named(seconds), name);
        }
        assert!(hour_at(Timestamp::new(7_200, 0)) > hour_at(Timestamp::new(7_199, 0)));
        assert!(hour_at(Timestamp::new(-5, 0)).is_trash() && hour_at(Timestamp::ZERO) != Ino::TRASH);
    }
}
