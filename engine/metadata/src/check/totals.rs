//! Sums over the volume: live bytes of objects, used bytes and inodes, numbers handed out; and what queues and sessions
//! hold.

use super::accounts::{Count, Tally};
use super::tree::Tree;
use super::{Problem, Report};
use crate::Account;
use crate::keys::{Counter, Key};
use crate::ops::{charges, counter, heartbeat, live_bytes, slice_list, stage};
use crate::records::{
    Accounting, Audience, CloneRecord, CloneState, Identity, OperationRecord, Quota, SessionRecord, SparseNote,
    WritebackFolder, decode_clone_directory, decode_clone_link, decode_deletion, decode_event, decode_holder,
    decode_lease, decode_pack_files, decode_staged, decode_waiter_of, decode_walk,
};
use shoal_kv::KvResult;
use shoal_types::{FileKind, Ino, LockSpace, ObjectId, ObjectKind, SessionId, Slice};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
pub(super) struct Totals {
    counters: BTreeMap<&'static [u8], u64>,
    inodes: u64,
    unreadable_inodes: u64,
    allocated: i64,
    objects: BTreeMap<ObjectId, Live>,
    /// Recorded, and by what is on the lists.
    staged: Live,
    /// With lists of files, which was told.
    dead_packs: BTreeSet<ObjectId>,
    tally: Tally,
    usage: BTreeMap<Account, Count>,
    accounting: Accounting,
    session: Option<SessionId>,
    /// The clone whose record came last.
    clone: Option<Ino>,
    /// Seen under their inodes and not yet on the list of their session.
    pub locks: BTreeSet<(SessionId, Ino, LockSpace, u64)>,
    pub waiters: BTreeSet<(SessionId, Ino, u64)>,
    /// Some slice list can't be decoded, so objects may have more bytes than are counted.
    pub lists_incomplete: bool,
    /// Some allocated bytes can't be decoded.
    pub allocated_incomplete: bool,
}

#[derive(Clone, Copy, Default)]
struct Live {
    recorded: i64,
    counted: i64,
}

impl Totals {
    /// A file's slices refer to objects.
    pub fn refer(&mut self, list: &[Slice]) {
        for slice in list.iter().filter(|slice| slice.kind != ObjectKind::Hole) {
            self.objects.entry(slice.object).or_default().counted += slice_list::allocated(&[*slice]);
        }
    }

    pub fn inode(&mut self, ino: Ino, identity: &Identity, allocated: i64, report: &mut Report) {
        let kind = identity.kind;
        self.tally.inode(identity, allocated);
        self.inodes += 1;
        self.allocated += allocated;
        report.inodes += 1;
        report.directories += u64::from(kind == FileKind::Directory);
        report.files += u64::from(kind == FileKind::Regular);
        report.bytes += allocated.max(0).cast_unsigned();
        if !ino.is_trash() {
            self.handed_out(Counter::NextInode, ino.0, Some(ino), report);
        }
    }

    pub fn unreadable_inode(&mut self) {
        self.inodes += 1;
        self.unreadable_inodes += 1;
    }

    /// Any key that is not an inode's.
    pub fn record(&mut self, key: &Key, value: &[u8], tree: &mut Tree, report: &mut Report) -> KvResult<()> {
        match *key {
            Key::Counter(name) => {
                self.counters.insert(name.name(), counter::decode(name, Some(value))?);
            }
            Key::Clone(clone) => {
                self.clone = Some(clone);
                // Noted before it's decoded: what is below a clone of a newer program is not lost.
                tree.clones.insert(clone);
                if CloneRecord::decode(value)?.state == CloneState::Finished {
                    tree.clones.remove(&clone);
                }
            }
            Key::CloneDirectory(clone, _) => {
                self.of_clone(clone, report);
                decode_clone_directory(value)?;
            }
            Key::CloneLink(clone, _) => {
                self.of_clone(clone, report);
                decode_clone_link(value)?;
            }
            Key::Object(object) => {
                let recorded = live_bytes::live_bytes(object, Some(value))?;
                self.objects.entry(object).or_default().recorded = recorded;
            }
            Key::StagedBytes => self.staged.recorded = stage::staged_bytes(Some(value))?,
            Key::Staged(..) => self.staged.counted += i64::from(decode_staged(value)?),
            Key::PackFiles(object, _) => {
                if !self.is_live(object) && self.dead_packs.insert(object) {
                    report.add(None, Problem::PackNotes { object });
                }
                decode_pack_files(value)?;
            }
            // Perhaps nothing has come to refer to it yet.
            Key::SparsePack(_) => SparseNote::decode(value).map(drop)?,
            Key::Accounting => self.accounting = Accounting::decode(Some(value))?,
            Key::Quota(account) => self.tally.quota(account, Quota::decode(value)?),
            Key::QuotaUsage(account, field) => {
                let number = charges::decode_usage(account, Some(value))?;
                self.usage.entry(account).or_default().set(field, number);
            }
            Key::QuotaWalk(..) => decode_walk(value).map(drop)?,
            Key::Session(session) => {
                // Noted before it's decoded: a session of a newer program has not ended.
                self.session = Some(session);
                self.handed_out(Counter::NextSession, session.0, None, report);
                SessionRecord::decode(value)?;
            }
            Key::Heartbeat(session) => {
                self.of_session(session, report);
                heartbeat::last_heard(session, Some(value))?;
            }
            Key::Sustained(session, ino) => {
                self.of_session(session, report);
                tree.sustained.insert(ino, session);
            }
            Key::Operation(session, _) => {
                self.of_session(session, report);
                OperationRecord::decode(value)?;
            }
            Key::ObjectLease(session, _) => {
                self.of_session(session, report);
                decode_lease(value)?;
            }
            Key::LockOf(session, ino, space, owner) => {
                self.of_session(session, report);
                if !self.locks.remove(&(session, ino, space, owner)) {
                    report.add(Some(ino), Problem::Locks { session });
                }
            }
            Key::WaiterOf(session, _, number) => {
                self.of_session(session, report);
                let ino = decode_waiter_of(value)?;
                if !self.waiters.remove(&(session, ino, number)) {
                    report.add(Some(ino), Problem::Locks { session });
                }
            }
            Key::Audience => Audience::decode(Some(value)).map(drop)?,
            Key::Event(_) => decode_event(value).map(drop)?,
            Key::Maintenance => decode_holder(value).map(drop)?,
            Key::WritebackFolder(_) => WritebackFolder::decode(value).map(drop)?,
            // Its key says it all.
            Key::DeletedInWriteback(..) => {}
            Key::Bell(session) => self.of_session(session, report),
            Key::Removal(time, ino) => self.removal(time, ino, tree, report),
            Key::Deletion(_, object) => {
                decode_deletion(value)?;
                if self.is_live(object) {
                    report.add(None, Problem::LiveAndQueued { object });
                }
            }
            _ => unreachable!("settings and inodes are looked at elsewhere"),
        }
        Ok(())
    }

    /// What is counted for whom, and which directory's quota is just being counted or given up.
    pub fn quotas(&self) -> (&Tally, Option<Ino>) {
        (&self.tally, self.accounting.walking)
    }

    pub fn check(&self, report: &mut Report) {
        for (object, live) in &self.objects {
            let Live { recorded, counted } = *live;
            report.objects += u64::from(counted > 0);
            if recorded != counted && !(self.lists_incomplete && recorded > counted) {
                report.add(None, Problem::LiveBytes { object: *object, recorded, counted });
            }
            self.handed_out(Counter::NextObject, object.0, None, report);
        }
        if self.staged.recorded != self.staged.counted {
            let Live { recorded, counted } = self.staged;
            report.add(None, Problem::StagedBytes { recorded, counted });
        }
        let unlisted_locks = self.locks.iter().map(|(session, ino, ..)| (*session, *ino));
        let unlisted_waiters = self.waiters.iter().map(|(session, ino, _)| (*session, *ino));
        for (session, ino) in unlisted_locks.chain(unlisted_waiters) {
            report.add(Some(ino), Problem::Locks { session });
        }
        for name in Counter::ALL {
            if !self.counters.contains_key(name.name()) {
                report.add(None, Problem::CounterMissing { counter: words(name) });
            }
        }
        let recorded = |counter: Counter| self.counters.get(counter.name()).map(|value| value.cast_signed());
        if let Some(recorded) = recorded(Counter::UsedInodes) {
            let counted = self.inodes.cast_signed();
            if recorded != counted {
                report.add(None, Problem::UsedInodes { recorded, counted });
            }
        }
        let all_known = self.unreadable_inodes == 0 && !self.allocated_incomplete;
        if let Some(recorded) = recorded(Counter::UsedBytes).filter(|_| all_known) {
            let counted = self.allocated;
            if recorded != counted {
                report.add(None, Problem::UsedBytes { recorded, counted });
            }
        }
        if all_known {
            self.check_accounts(report);
        }
    }

    fn check_accounts(&self, report: &mut Report) {
        for root in self.tally.unknown_marks() {
            report.add(Some(root), Problem::QuotaMissing);
        }
        for check in self.tally.compare(&self.accounting, self.usage.clone()) {
            let account = check.account;
            if account == Account::Volume {
                continue;
            }
            let (recorded, counted) = (check.recorded.bytes, check.counted.bytes);
            if recorded != counted {
                report.add(None, Problem::AccountBytes { account, recorded, counted });
            }
            let (recorded, counted) = (check.recorded.inodes, check.counted.inodes);
            if recorded != counted {
                report.add(None, Problem::AccountInodes { account, recorded, counted });
            }
        }
    }

    /// A session's record comes before its other keys. It's told once that one is missing.
    fn of_session(&mut self, session: SessionId, report: &mut Report) {
        if self.session != Some(session) {
            self.session = Some(session);
            report.add(None, Problem::SessionGone { session });
        }
    }

    fn is_live(&self, object: ObjectId) -> bool {
        self.objects.get(&object).is_some_and(|live| live.recorded > 0 || live.counted > 0)
    }

    /// As `of_session`.
    fn of_clone(&mut self, clone: Ino, report: &mut Report) {
        if self.clone != Some(clone) {
            self.clone = Some(clone);
            report.add(None, Problem::CloneNotes { clone });
        }
    }

    fn removal(&mut self, time: u64, ino: Ino, tree: &mut Tree, report: &mut Report) {
        // Of two entries the one that the inode has noted is the right one.
        let noted = tree.inodes.get(&ino).and_then(|inode| inode.queued);
        if let Some(other) = tree.queued.get(&ino).copied() {
            report.add(Some(ino), Problem::QueuePlace);
            if noted == Some(other) {
                return;
            }
        }
        tree.queued.insert(ino, time);
    }

    fn handed_out(&self, counter: Counter, number: u64, ino: Option<Ino>, report: &mut Report) {
        if let Some(next) = self.counters.get(counter.name()).copied()
            && number >= next
        {
            report.add(ino, Problem::NotHandedOut { counter: words(counter), next, number });
        }
    }
}

fn words(counter: Counter) -> &'static str {
    std::str::from_utf8(counter.name()).expect("counters have names in ASCII")
}
