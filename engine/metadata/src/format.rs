//! Makes an empty volume in a store: everything at once, durably, or nothing.

use crate::keys::{Counter, Key};
use crate::ops::trash;
use crate::records::{Accounting, Identity, Quota, Rules, encode_settings, encode_wrapped_key};
use crate::{Account, FormatOptions, MetaError, MetaResult, QuotaState};
use shoal_kv::{Durability, Kv, KvResult, Transaction, Verdict};
use shoal_types::{Errno, FileKind, Ino, Timestamp, VolumeSettings};

pub(crate) fn format(
    kv: &(dyn Kv + 'static),
    settings: &VolumeSettings,
    options: &FormatOptions,
    owner: (u32, u32),
    now: Timestamp,
) -> MetaResult<()> {
    let FormatOptions { limits, trash_days, ref key, ref storage_secrets } = *options;
    assert_eq!(settings.cipher.is_some(), key.is_some(), "a volume is encrypted if it has a key");
    assert!(storage_secrets.is_none() || key.is_some(), "secrets are kept sealed");
    let settings = encode_settings(settings);
    let key = key.as_ref().map(encode_wrapped_key);
    let storage_secrets = storage_secrets.clone();
    let created = kv.transact(Durability::Durable, move |transaction, attempt| {
        if let Some(found) = transaction.get(&Key::Settings.encode())? {
            // The settings hold the volume's UUID, so equal ones are those of an earlier attempt of this very call.
            let ours = attempt.maybe_committed && found == settings;
            return Ok((ours, Verdict::Abort));
        }
        // Somebody loads a dump here.
        if transaction.get(&Key::Load.encode())?.is_some() {
            return Ok((false, Verdict::Abort));
        }
        transaction.put(&Key::Settings.encode(), &settings);
        if let Some(key) = &key {
            transaction.put(&Key::WrappedKey.encode(), key);
        }
        if let Some(secrets) = &storage_secrets {
            transaction.put(&Key::StorageSecrets.encode(), secrets);
        }
        transaction.put(&Key::Identity(Ino::ROOT).encode(), &root(owner, now).encode());
        if !limits.is_none() {
            let quota = Quota { state: QuotaState::Active, limits, around: Vec::new() };
            transaction.put(&Key::Quota(Account::Volume).encode(), &quota.encode());
        }
        let limited = !limits.is_none();
        let accounting = Accounting { volume: limited, any: limited, trash_days, ..Accounting::default() };
        if accounting != Accounting::default() {
            transaction.put(&Key::Accounting.encode(), &accounting.encode());
        }
        for (counter, first) in COUNTERS {
            put_counter(transaction, counter, first);
        }
        if trash_days > 0 {
            make_trash(transaction, accounting.rules(), now)?;
        }
        Ok((true, Verdict::Commit))
    })?;
    match created {
        true => Ok(()),
        false => Err(Errno::EEXIST.into()),
    }
}

fn make_trash(transaction: &mut dyn Transaction, rules: Rules, now: Timestamp) -> KvResult<()> {
    trash::make(transaction, rules, now).map_err(|error| match error {
        MetaError::Store(error) => error,
        MetaError::Refused(errno) => unreachable!("an empty root has no entry in the way: {errno}"),
    })
}

fn root(owner: (u32, u32), now: Timestamp) -> Identity {
    let (uid, gid) = owner;
    Identity { mode: 0o755, uid, gid, ..Identity::new(FileKind::Directory, Ino::ROOT, now) }
}

fn put_counter(transaction: &mut dyn Transaction, counter: Counter, value: u64) {
    transaction.put(&Key::Counter(counter).encode(), &value.to_le_bytes());
}

/// The root has number 1; object 0 means none; session 0 is nobody.
const COUNTERS: [(Counter, u64); 5] = [
    (Counter::NextInode, Ino::ROOT.0 + 1),
    (Counter::NextObject, 1),
    (Counter::NextSession, 1),
    (Counter::UsedBytes, 0),
    (Counter::UsedInodes, 1),
];
