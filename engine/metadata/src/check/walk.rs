//! One pass over every key of the volume, in order: settings, counters, inodes, objects, sessions, queues.
//!
//! The order of tags matters: counters come before the numbers they bound, inodes before the objects and queues that
//! they are held against.

use super::inode::InodeCheck;
use super::totals::Totals;
use super::tree::Tree;
use super::{Problem, Report, Source, paths};
use crate::keys::{self, Key};
use crate::{MetaResult, records};
use shoal_kv::{Direction, KeyRange, Kv, KvError, KvResult, Pair, Reader};
use shoal_types::Ino;

pub(super) fn pass(source: Source, progress: &mut dyn FnMut(u64)) -> MetaResult<Report> {
    let mut walk = Walk::default();
    let mut seen = 0;
    for_each(source, KeyRange::all(), &mut |key, value| {
        walk.record(key, value);
        seen += 1;
        if seen % PROGRESS_EVERY == 0 {
            progress(seen);
        }
    })?;
    progress(seen);
    let Walk { tree, mut report, settings, .. } = walk.end();
    if !settings {
        report.add(None, Problem::SettingsMissing);
    }
    paths::name_entries(source, &mut report)?;
    paths::add_paths(source, &tree, &mut report)?;
    Ok(report)
}

/// Calls `record` for every pair of the range, in order.
pub(super) fn for_each(source: Source, mut range: KeyRange, record: &mut dyn FnMut(&[u8], &[u8])) -> KvResult<()> {
    loop {
        let pairs = source.scan(&range, BATCH, Direction::Forward)?;
        pairs.iter().for_each(|(key, value)| record(key, value));
        match pairs.last() {
            Some((last, _)) if pairs.len() == BATCH => range = keys::behind(last, &range),
            _ => return Ok(()),
        }
    }
}

/// Each read at its own moment, for engines that can't hold a snapshot for long.
pub(super) struct ReadEach<'a>(pub &'a dyn Kv);

impl Reader for ReadEach<'_> {
    fn get(&mut self, key: &[u8]) -> KvResult<Option<Vec<u8>>> {
        let mut found = None;
        self.0.read(&mut |reader| {
            found = reader.get(key)?;
            Ok(())
        })?;
        Ok(found)
    }

    fn scan(&mut self, range: &KeyRange, limit: usize, direction: Direction) -> KvResult<Vec<Pair>> {
        let mut found = Vec::new();
        self.0.read(&mut |reader| {
            found = reader.scan(range, limit, direction)?;
            Ok(())
        })?;
        Ok(found)
    }
}

#[derive(Default)]
struct Walk {
    settings: bool,
    /// The inode whose keys are passing by.
    inode: Option<InodeCheck>,
    tree: Tree,
    totals: Totals,
    report: Report,
}

impl Walk {
    fn record(&mut self, key: &[u8], value: &[u8]) {
        let Some(parsed) = Key::parse(key) else {
            self.report.add(None, Problem::UnknownKey { key: key.to_vec() });
            return;
        };
        let subject = inode_of(&parsed);
        if self.inode.as_ref().map(InodeCheck::ino) != subject {
            self.end_inode();
            self.inode = subject.map(InodeCheck::new);
        }
        if let Err(error) = self.interpret(&parsed, value) {
            self.report.add(subject, Problem::Undecodable { key: key.to_vec(), why: words(error) });
            if let Some(inode) = &mut self.inode {
                inode.unreadable(&parsed, &mut self.tree, &mut self.totals);
            }
        }
    }

    fn interpret(&mut self, key: &Key, value: &[u8]) -> KvResult<()> {
        match key {
            Key::Settings => {
                self.settings = true;
                records::decode_settings(value).map(drop)
            }
            Key::WrappedKey => records::decode_wrapped_key(value).map(drop),
            Key::Backups => records::Backups::decode(Some(value)).map(drop),
            // It goes in the transaction that brings the settings.
            Key::Load => Err(KvError::Damaged("a load that has not ended, in a volume that is there".into())),
            // Its key says it all.
            Key::Protected => Ok(()),
            // Sealed bytes say nothing to who has no key.
            Key::StorageSecrets => Ok(()),
            _ => match &mut self.inode {
                Some(inode) => inode.record(key, value, &mut self.tree, &mut self.totals, &mut self.report),
                None => self.totals.record(key, value, &mut self.tree, &mut self.report),
            },
        }
    }

    fn end_inode(&mut self) {
        if let Some(inode) = self.inode.take() {
            inode.end(&mut self.tree, &mut self.totals, &mut self.report);
        }
    }

    fn end(mut self) -> Self {
        self.end_inode();
        self.tree.check(&mut self.report);
        let (tally, walking) = self.totals.quotas();
        self.tree.check_quotas(tally, walking, &mut self.report);
        self.totals.check(&mut self.report);
        self
    }
}

fn inode_of(key: &Key) -> Option<Ino> {
    match *key {
        Key::Identity(ino)
        | Key::Accumulator(ino, _)
        | Key::Inline(ino)
        | Key::Target(ino)
        | Key::Chunk(ino, _)
        | Key::Dirent(ino, ..)
        | Key::Lock(ino, ..)
        | Key::Waiter(ino, ..)
        | Key::XattrIndex(ino)
        | Key::Xattr(ino, _)
        | Key::Queued(ino)
        | Key::Origin(ino) => Some(ino),
        _ => None,
    }
}

fn words(error: KvError) -> String {
    match error {
        KvError::Damaged(why) => why,
        other => other.to_string(),
    }
}

/// Pairs read at once: few round trips, bounded memory.
const BATCH: usize = 1000;
const PROGRESS_EVERY: u64 = 1000;
