//! Names against inodes: everything has the names it counts, everything can be reached from the root, or from the root of
//! a clone under way, or is kept by a session, or is on its way out.

use super::accounts::Tally;
use super::{Problem, Report};
use crate::records::Dirent;
use crate::{Account, QuotaState};
use shoal_types::{FileKind, Ino, SessionId};
use std::collections::{BTreeMap, BTreeSet};

/// What is kept of each inode: a million of them take about a hundred megabytes, with their names.
#[derive(Clone, Copy)]
pub(super) struct Summary {
    pub kind: FileKind,
    pub nlink: u32,
    pub parent: Ino,
    /// Its own note of its place in the removal queue.
    pub queued: Option<u64>,
    pub quota: Option<Ino>,
    pub linked: bool,
    /// It's marked as one that the trash has.
    pub trashed: bool,
}

/// The names that lead to an inode.
#[derive(Clone, Copy)]
pub(super) struct Names {
    pub count: u64,
    /// The directory of one of them.
    pub parent: Ino,
    /// The kinds that they give it: bit n for kind n.
    kinds: u8,
}

#[derive(Default)]
pub(super) struct Tree {
    pub inodes: BTreeMap<Ino, Summary>,
    pub names: BTreeMap<Ino, Names>,
    /// Their identities are there but can't be decoded.
    pub unreadable: BTreeSet<Ino>,
    /// Some entry can't be decoded, so an inode may have names that are not counted.
    pub names_incomplete: bool,
    pub sustained: BTreeMap<Ino, SessionId>,
    pub queued: BTreeMap<Ino, u64>,
    /// Roots of copies that have not appeared.
    pub clones: BTreeSet<Ino>,
}

impl Tree {
    pub fn inode(&mut self, ino: Ino, summary: Summary) {
        self.inodes.insert(ino, summary);
    }

    pub fn name(&mut self, parent: Ino, entry: &Dirent) {
        let names = self.names.entry(entry.ino).or_insert(Names { count: 0, parent, kinds: 0 });
        names.count += 1;
        names.kinds |= 1 << entry.kind as u8;
    }

    pub fn check(&self, report: &mut Report) {
        if !self.exists(Ino::ROOT) {
            report.add(None, Problem::RootMissing);
        }
        for (ino, names) in &self.names {
            self.check_entry(*ino, names, report);
        }
        for (ino, summary) in &self.inodes {
            self.check_inode(*ino, summary, report);
        }
        self.check_loops(report);
        self.check_kept(report);
    }

    /// Everything is counted for what its directory is counted for; the root of a quota for that quota. While a quota is
    /// being counted or given up, both it and the one around it are right, and so they are if its directory was removed
    /// meanwhile. What the trash has is counted for nothing, but for
    /// trees, which stay what they were. A file that has had several names may have lain
    /// in places that are counted apart, if that was so before they were.
    pub fn check_quotas(&self, tally: &Tally, walking: Option<Ino>, report: &mut Report) {
        let around =
            |root: Ino| tally.quotas().get(&Account::Directory(root)).and_then(|quota| quota.around.first().copied());
        let is_gone = |root: Ino| {
            tally.quotas().get(&Account::Directory(root)).is_some_and(|quota| quota.state == QuotaState::Gone)
        };
        for (ino, summary) in &self.inodes {
            let Some(names) = self.names.get(ino) else { continue };
            let Some(directory) = self.inodes.get(&names.parent) else { continue };
            if names.parent.is_trash() {
                continue;
            }
            let recorded = match summary.quota {
                Some(root) if root == *ino => around(root),
                other => other,
            };
            let unsettled = |mark: Option<Ino>| mark.is_some_and(|root| walking == Some(root) || is_gone(root));
            let wanted = directory.quota;
            if recorded != wanted && !summary.linked && !unsettled(recorded) && !unsettled(wanted) {
                report.add(Some(*ino), Problem::QuotaMark { recorded, wanted });
            }
        }
    }

    fn exists(&self, ino: Ino) -> bool {
        self.inodes.contains_key(&ino) || self.unreadable.contains(&ino)
    }

    /// Of the entry itself only the directory is known here; its name is looked up afterwards.
    fn check_entry(&self, target: Ino, names: &Names, report: &mut Report) {
        match self.inodes.get(&target) {
            Some(summary) if names.kinds != 1 << summary.kind as u8 => {
                let problem = Problem::EntryKind { name: Vec::new(), target, inode: summary.kind };
                report.add(Some(names.parent), problem);
            }
            None if !self.unreadable.contains(&target) => {
                report.add(Some(names.parent), Problem::DanglingEntry { name: Vec::new(), target });
            }
            _ => {}
        }
    }

    fn check_inode(&self, ino: Ino, summary: &Summary, report: &mut Report) {
        let Some(names) = self.names.get(&ino) else {
            return self.check_nameless(ino, summary, report);
        };
        let in_trash = names.parent.is_trash() && !ino.is_trash();
        if in_trash != summary.trashed || (in_trash && names.count > 1) {
            report.add(Some(ino), Problem::Trashed);
        }
        let wanted = match summary.kind {
            _ if in_trash => 0,
            FileKind::Directory => 1,
            _ => names.count,
        };
        if summary.kind == FileKind::Directory {
            if names.count > 1 || ino == Ino::ROOT {
                report.add(Some(ino), Problem::SeveralNames { names: names.count + u64::from(ino == Ino::ROOT) });
            } else if summary.parent != names.parent {
                report.add(Some(ino), Problem::Parent { recorded: summary.parent, actual: names.parent });
            }
        }
        if u64::from(summary.nlink) != wanted && !self.names_incomplete {
            report.add(Some(ino), Problem::LinkCount { recorded: summary.nlink, names: names.count });
        }
        if self.queued.contains_key(&ino) {
            report.add(Some(ino), Problem::QueuedWithName);
        }
        if self.clones.contains(&ino) {
            report.add(Some(ino), Problem::CloneWithName);
        }
        if let Some(session) = self.sustained.get(&ino) {
            report.add(Some(ino), Problem::SustainedWithName { session: *session });
        }
    }

    fn check_nameless(&self, ino: Ino, summary: &Summary, report: &mut Report) {
        if ino == Ino::ROOT || ino == Ino::TRASH {
            if summary.nlink != 1 {
                report.add(Some(ino), Problem::LinkCount { recorded: summary.nlink, names: 1 });
            }
        } else if summary.trashed {
            report.add(Some(ino), Problem::Trashed);
        } else if self.clones.contains(&ino) {
            if summary.nlink != 1 {
                report.add(Some(ino), Problem::LinkCount { recorded: summary.nlink, names: 0 });
            }
        } else if self.names_incomplete {
            // Its name may be among those that can't be read.
        } else if !self.queued.contains_key(&ino) && !self.sustained.contains_key(&ino) {
            report.add(Some(ino), Problem::Unreachable);
        } else if summary.nlink != 0 {
            report.add(Some(ino), Problem::LinkCount { recorded: summary.nlink, names: 0 });
        }
    }

    /// Directories that lead to each other instead of to the root. What hangs below them is not told separately.
    fn check_loops(&self, report: &mut Report) {
        let mut settled = BTreeSet::from([Ino::ROOT, Ino::TRASH]);
        for ino in self.names.keys() {
            let mut way = Vec::new();
            let mut on_way = BTreeSet::new();
            let mut at = *ino;
            while !settled.contains(&at) && on_way.insert(at) {
                way.push(at);
                // A directory without a name has been told already, or is being removed.
                let Some(names) = self.names.get(&at) else { break };
                at = names.parent;
            }
            if !settled.contains(&at) && self.names.contains_key(&at) {
                let start = way.iter().position(|ino| *ino == at).expect("the way has come back to it");
                way[start..].iter().for_each(|ino| report.add(Some(*ino), Problem::Loop));
            }
            settled.extend(way);
        }
    }

    /// What sessions and the queue keep exists. What a session keeps may be queued as well: by another one that kept it.
    fn check_kept(&self, report: &mut Report) {
        for (ino, session) in &self.sustained {
            if !self.exists(*ino) {
                report.add(Some(*ino), Problem::SustainedNowhere { session: *session });
            }
        }
        for ino in self.queued.keys().filter(|ino| !self.exists(**ino)) {
            report.add(Some(*ino), Problem::QueuedNowhere);
        }
        for ino in self.clones.iter().filter(|ino| !self.exists(**ino)) {
            report.add(Some(*ino), Problem::CloneNowhere);
        }
        for (ino, summary) in &self.inodes {
            // Without a note the removal has begun.
            if summary.queued.is_some() && summary.queued != self.queued.get(ino).copied() {
                report.add(Some(*ino), Problem::QueuePlace);
            }
        }
    }
}
