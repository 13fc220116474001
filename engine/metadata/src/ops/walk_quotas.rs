//! One step of what quotas have left to do: a new one's tree is marked and counted, one that was given up is handed to
//! the quota around it, inodes are counted by owner for the first time.
//!
//! **Trees.** A directory is marked before its entries are looked at. Whoever makes something in it reads its identity:
//! what was made before the mark is among the entries, what is made after it bears the mark from the beginning. What is
//! moved in or out is marked by the one who moves it. So each inode is marked once, whatever others do meanwhile.
//!
//! **Owners.** All inodes are passed in the order of their numbers. What is made meanwhile bears the generation already,
//! because every session's rules were changed before the first step.

use super::charges::{Charges, usage};
use super::quota;
use crate::inode;
use crate::keys::{self, Key, UsageField};
use crate::records::{Accounting, Dirent, Identity, OwnerState, Quota, Rules, decode_walk, encode_walk};
use crate::{Account, Limits, MetaReply, MetaResult, QuotaState};
use shoal_kv::{Direction, KvError, Transaction};
use shoal_types::Ino;

pub(super) fn run(transaction: &mut dyn Transaction) -> MetaResult<MetaReply> {
    let accounting = quota::load_accounting(transaction)?;
    if let Some(root) = accounting.walking {
        walk_tree(transaction, accounting, root)?;
    } else if accounting.owners == OwnerState::Counting {
        count_owners(transaction, accounting)?;
    } else {
        return Ok(MetaReply::Ended { done: true });
    }
    Ok(MetaReply::Ended { done: false })
}

/// From which mark to which a walk goes.
struct Walk {
    root: Ino,
    state: QuotaState,
    from: Option<Ino>,
    to: Option<Ino>,
}

fn walk_tree(transaction: &mut dyn Transaction, accounting: Accounting, root: Ino) -> MetaResult<()> {
    let Some(quota) = quota::load(transaction, Account::Directory(root))? else {
        return end_walk(transaction, accounting, root, None);
    };
    let outer = quota.around.first().copied();
    let (from, to) = match quota.state {
        QuotaState::Counting => (outer, Some(root)),
        QuotaState::Removing => (Some(root), outer),
        QuotaState::Active | QuotaState::Gone => return end_walk(transaction, accounting, root, Some(quota)),
    };
    let walk = Walk { root, state: quota.state, from, to };
    match transaction.scan(&keys::quota_walks(root), 1, Direction::Forward)?.pop() {
        Some((key, place)) => walk_directory(transaction, &walk, &key, decode_walk(&place)?),
        None => end_walk(transaction, accounting, root, Some(quota)),
    }
}

fn walk_directory(transaction: &mut dyn Transaction, walk: &Walk, key: &[u8], place: &[u8]) -> MetaResult<()> {
    let Some(Key::QuotaWalk(_, directory)) = Key::parse(key) else { unreachable!("the range holds these only") };
    let entries = transaction.scan(&keys::dirents_behind(directory, place), ENTRIES_MAX, Direction::Forward)?;
    let mut charges = Charges::new(Rules::default());
    for (_, value) in &entries {
        visit(transaction, &mut charges, walk, Dirent::decode(value)?.ino)?;
    }
    match entries.last() {
        Some((last, _)) if entries.len() == ENTRIES_MAX => {
            transaction.put(key, &encode_walk(keys::dirent_place(last)));
        }
        _ => transaction.delete(key),
    }
    charges.write(transaction)
}

fn visit(transaction: &mut dyn Transaction, charges: &mut Charges, walk: &Walk, ino: Ino) -> MetaResult<()> {
    let Some(value) = transaction.get(&Key::Identity(ino).encode())? else { return Ok(()) };
    let identity = Identity::decode(&value)?;
    if identity.quota == Some(ino) {
        return pass_root(transaction, walk, ino);
    }
    if identity.quota != walk.from {
        return Ok(());
    }
    let mut bytes = 0;
    if identity.is_directory() {
        transaction.put(&Key::QuotaWalk(walk.root, ino).encode(), &encode_walk(b""));
    } else {
        bytes = inode::load(transaction, ino)?.allocated;
    }
    let marked = Identity { quota: walk.to, ..identity.clone() };
    transaction.put(&Key::Identity(ino).encode(), &marked.encode());
    charges.shift(&identity, &marked, bytes);
    Ok(())
}

/// A quota inside the tree: it and those in it come to lie in the new one, or no longer lie in the one given up. What it
/// has counted so far goes along with it; from this transaction on, what it counts does by itself.
fn pass_root(transaction: &mut dyn Transaction, walk: &Walk, inner: Ino) -> MetaResult<()> {
    let root = walk.root;
    let counting = walk.state == QuotaState::Counting;
    let Some(quota) = quota::load(transaction, Account::Directory(inner))? else { return Ok(()) };
    if quota.around.contains(&root) == counting {
        return Ok(());
    }
    let around_root = quota::load(transaction, Account::Directory(root))?.map_or(0, |quota| quota.around.len());
    for (account, mut quota) in directory_quotas(transaction)? {
        if account == Account::Directory(inner) || quota.around.contains(&inner) {
            match counting {
                true => quota.around.insert(quota.around.len().saturating_sub(around_root), root),
                false => quota.around.retain(|ino| *ino != root),
            }
            transaction.put(&Key::Quota(account).encode(), &quota.encode());
        }
    }
    for field in [UsageField::Bytes, UsageField::Inodes] {
        let amount = usage(transaction, Account::Directory(inner), field)?;
        let key = Key::QuotaUsage(Account::Directory(root), field).encode();
        transaction.add(&key, if counting { amount } else { -amount });
    }
    Ok(())
}

fn directory_quotas(transaction: &mut dyn Transaction) -> MetaResult<Vec<(Account, Quota)>> {
    let mut quotas = Vec::new();
    let mut range = keys::directory_accounts();
    while let Some((key, value)) = transaction.scan(&range, 1, Direction::Forward)?.pop() {
        range = keys::behind(&key, &range);
        if let Some(Key::Quota(account)) = Key::parse(&key) {
            range.start = keys::account(account).end;
            quotas.push((account, Quota::decode(&value)?));
        }
    }
    Ok(quotas)
}

fn end_walk(
    transaction: &mut dyn Transaction,
    mut accounting: Accounting,
    root: Ino,
    quota: Option<Quota>,
) -> MetaResult<()> {
    let account = Account::Directory(root);
    match quota {
        Some(quota) if quota.state == QuotaState::Counting => {
            let active = Quota { state: QuotaState::Active, ..quota };
            transaction.put(&Key::Quota(account).encode(), &active.encode());
        }
        Some(quota) if quota.state == QuotaState::Removing => match quota::is_empty(transaction, root)? {
            true => transaction.delete_range(&keys::account(account))?,
            false => {
                let gone = Quota { state: QuotaState::Gone, limits: Limits::default(), ..quota };
                transaction.put(&Key::Quota(account).encode(), &gone.encode());
            }
        },
        _ => {}
    }
    accounting.walking = None;
    quota::end_of_quotas(transaction, &mut accounting)?;
    quota::publish(transaction, accounting)
}

fn count_owners(transaction: &mut dyn Transaction, mut accounting: Accounting) -> MetaResult<()> {
    let mut charges = Charges::new(accounting.rules());
    for _ in 0..INODES_MAX {
        let range = keys::inodes_from(Ino(accounting.counted + 1));
        let Some((key, value)) = transaction.scan(&range, 1, Direction::Forward)?.pop() else {
            accounting.owners = OwnerState::On;
            break;
        };
        let Some(ino) = keys::inode_of(&key) else {
            return Err(KvError::Damaged(format!("{} is no inode's key", key.escape_ascii())).into());
        };
        accounting.counted = ino.0;
        if key == Key::Identity(ino).encode() {
            count_owner(transaction, &mut charges, ino, Identity::decode(&value)?, accounting.generation)?;
        }
    }
    charges.write(transaction)?;
    quota::publish(transaction, accounting)
}

fn count_owner(
    transaction: &mut dyn Transaction,
    charges: &mut Charges,
    ino: Ino,
    identity: Identity,
    generation: u32,
) -> MetaResult<()> {
    if identity.owners == generation {
        return Ok(());
    }
    let allocated = inode::load(transaction, ino)?.allocated;
    let counted = Identity { owners: generation, ..identity.clone() };
    transaction.put(&Key::Identity(ino).encode(), &counted.encode());
    charges.shift(&identity, &counted, allocated);
    Ok(())
}

/// Entries looked at by one step.
const ENTRIES_MAX: usize = 256;
/// Inodes looked at by one step.
const INODES_MAX: usize = 256;
