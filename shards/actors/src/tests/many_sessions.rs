//! Many sessions of one volume, in virtual time: heartbeats, the change feed, who maintains, whose locks are given up.
//!
//! What a session decides by (`Heard`, `Trimming`, `Follower`, the operations) is what a mount decides by; the rest of a
//! mount is left out. Every step comes late by chance, sessions are killed or stand still for a while, and the engine refuses
//! commits or tells nothing of their result. Whatever is committed is kept in a journal, and each session must hear all of
//! it, in order and in time. With `SHOAL_LONG=1` they are a thousand instead of forty, and their cost is printed.

use crate::SESSION_EXPIRY;
use crate::limits::{FEED_KEPT, FEED_LOOK_INTERVAL, HEARTBEAT_INTERVAL};
use crate::maintenance::feed::Trimming;
use crate::maintenance::heard::Heard;
use crate::session::is_other_mount;
use shoal_kv::{Durability::Visible, Faults, Kv, MemoryKv, Random};
use shoal_metadata::feed::{Change, Event, Follower, Stamp};
use shoal_metadata::{
    EndSession, Heartbeat, LockOutcome, MetaError, MetaOp, MetaReply, MetaResult, Metadata, RegisterSession,
    SessionKind, SessionRecord, SetAttributes, SetLock, TakeMaintenance, TrimFeed,
};
use shoal_types::{Consistency, Errno, Ino, LockMode, LockRange, LockSpace, SessionId, Timestamp};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Since the beginning.
type Time = Duration;

/// How late a step may come: a busy host, a slow network.
const DELAY_MAX: Time = Time::from_secs(2);
/// Within it the death of whoever maintains is noticed: his last heartbeat may be as old as one interval and is seen up to
/// one later, and the look that finds the expiry over may come another one later.
const HANDED_OVER_WITHIN: Time =
    Time::from_secs(SESSION_EXPIRY.as_secs() + 3 * HEARTBEAT_INTERVAL.as_secs() + 5 * DELAY_MAX.as_secs());
/// And any other death, if that of whoever maintains has to be noticed first.
const ENDED_WITHIN: Time = Time::from_secs(2 * HANDED_OVER_WITHIN.as_secs());
const LOCKS: u64 = 16;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Beat,
    Look,
    Change,
    /// It ends another that it has found silent.
    End {
        other: usize,
        heard: Timestamp,
    },
    TakeLock(u64),
    Unlock(u64),
}

struct Mount {
    session: SessionId,
    killed: Option<Time>,
    stands_until: Time,
    /// Refused by the store.
    fenced: bool,
    last_beat: Time,
    last_look: Time,
    heard: Heard,
    trimming: Trimming,
    maintains: bool,
    follower: Follower,
    /// How much of the journal it has heard.
    position: usize,
}

#[derive(Default)]
struct Costs {
    beats: u64,
    looks: u64,
    events_heard: u64,
    looked_up: u64,
}

struct Simulation {
    metadata: Metadata,
    kv: Arc<MemoryKv>,
    random: Random,
    start: Instant,
    now: Time,
    steps: BinaryHeap<Reverse<(Time, u64, usize, Step)>>,
    planned: u64,
    mounts: Vec<Mount>,
    by_session: HashMap<SessionId, usize>,
    journal: Vec<(Time, Event)>,
    scribe: Follower,
    ended: HashSet<SessionId>,
    /// Who has which lock, as far as he was told.
    holders: HashMap<u64, usize>,
    maintainer: Option<(SessionId, Time)>,
    handed_over: Vec<Time>,
    costs: Costs,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let faults = Faults { seed, conflict_rate: 0.05, unknown_rate: 0.02, ..Faults::default() };
        let kv = MemoryKv::with_faults(faults);
        super::format(&*kv);
        let metadata = Metadata::new(kv.clone());
        Simulation {
            metadata,
            kv,
            random: Random::new(seed),
            start: Instant::now(),
            now: Time::ZERO,
            steps: BinaryHeap::new(),
            planned: 0,
            mounts: Vec::new(),
            by_session: HashMap::new(),
            journal: Vec::new(),
            scribe: Follower::default(),
            ended: HashSet::new(),
            holders: HashMap::new(),
            maintainer: None,
            handed_over: Vec::new(),
            costs: Costs::default(),
        }
    }

    fn instant(&self) -> Instant {
        self.start + self.now
    }

    fn timestamp(&self) -> Timestamp {
        Timestamp::from_nanos(1_000_000_000 + self.now.as_nanos() as u64)
    }

    fn plan(&mut self, after: Time, mount: usize, step: Step) {
        let late = Time::from_millis(match self.random.chance(0.1) {
            true => self.random.below(DELAY_MAX.as_millis() as u64),
            false => self.random.below(20),
        });
        self.planned += 1;
        self.steps.push(Reverse((self.now + after + late, self.planned, mount, step)));
    }

    /// Commits, and notes in the journal what became visible by it.
    fn commit(&mut self, operation: MetaOp) -> MetaResult<MetaReply> {
        let reply = self.metadata.run(operation, Visible);
        let page = self.scribe.read(&self.metadata).unwrap();
        assert!(!page.missed, "the newest events are never trimmed");
        for event in page.events {
            if event.change == Change::Left {
                self.ended.insert(event.session);
            }
            self.journal.push((self.now, event));
        }
        reply
    }

    fn join(&mut self) {
        let index = self.mounts.len();
        let record = SessionRecord {
            host: format!("host-{index}"),
            boot: "boot".into(),
            pid: index as u32 + 1,
            started: self.timestamp(),
            mount_point: "/mnt".into(),
            kind: SessionKind::Mount,
            consistency: Consistency::Coherent,
        };
        let now = self.timestamp();
        let registered = self.commit(MetaOp::RegisterSession(RegisterSession { record, now })).unwrap();
        let session = registered.into_registered().unwrap();
        self.by_session.insert(session, index);
        self.mounts.push(Mount {
            session,
            killed: None,
            stands_until: Time::ZERO,
            fenced: false,
            last_beat: self.now,
            last_look: self.now,
            heard: Heard::default(),
            trimming: Trimming::default(),
            maintains: false,
            follower: Follower::at_end(&self.metadata).unwrap(),
            position: self.journal.len(),
        });
        for step in [Step::Beat, Step::Look, Step::Change] {
            self.plan(Time::ZERO, index, step);
        }
        if index.is_multiple_of(4) {
            self.plan(Time::ZERO, index, Step::TakeLock(index as u64 / 4 % LOCKS));
        }
    }

    fn run_until(&mut self, end: Time) {
        while let Some(Reverse((time, ..))) = self.steps.peek()
            && *time <= end
        {
            let Reverse((time, _, index, step)) = self.steps.pop().expect("it was there");
            self.now = time;
            let mount = &self.mounts[index];
            if mount.killed.is_some() || mount.fenced {
                continue;
            }
            if mount.stands_until > time {
                let wait = mount.stands_until - time;
                self.plan(wait, index, step);
                continue;
            }
            self.step(index, step);
        }
        self.now = end;
    }

    fn step(&mut self, index: usize, step: Step) {
        match step {
            Step::Beat => {
                self.beat(index);
                self.plan(HEARTBEAT_INTERVAL, index, Step::Beat);
            }
            Step::Look => {
                self.look(index);
                self.plan(FEED_LOOK_INTERVAL, index, Step::Look);
            }
            Step::Change => {
                self.change(index);
                let pause = Time::from_millis(self.random.below(60_000));
                self.plan(pause, index, Step::Change);
            }
            Step::End { other, heard } => self.end(other, heard),
            Step::TakeLock(lock) => self.take_lock(index, lock),
            Step::Unlock(lock) => self.unlock(index, lock),
        }
    }

    /// Whether the store still takes what the session does. If not, it must have been silent.
    fn accepted<T>(&mut self, index: usize, outcome: MetaResult<T>) -> Option<T> {
        let mount = &mut self.mounts[index];
        match outcome {
            Ok(answer) => {
                assert!(!self.ended.contains(&mount.session), "what has ended changes nothing any more");
                Some(answer)
            }
            Err(MetaError::Refused(Errno::ESTALE)) => {
                assert!(self.ended.contains(&mount.session));
                let silence = self.now - mount.last_beat;
                assert!(silence > SESSION_EXPIRY, "a session was ended that had been silent for {silence:?} only");
                mount.fenced = true;
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn beat(&mut self, index: usize) {
        self.costs.beats += 1;
        let beat = Heartbeat { session: self.mounts[index].session, now: self.timestamp() };
        let outcome = self.commit(MetaOp::Heartbeat(beat));
        if self.accepted(index, outcome).is_some() {
            self.mounts[index].last_beat = self.now;
            self.maintain(index, true);
        }
    }

    /// As `maintenance::run` does at a heartbeat, or when sessions have ended.
    fn maintain(&mut self, index: usize, at_heartbeat: bool) {
        let session = self.mounts[index].session;
        let outcome = self.commit(MetaOp::TakeMaintenance(TakeMaintenance { session }));
        let Some(reply) = self.accepted(index, outcome) else { return };
        let holder = reply.into_holder().unwrap();
        self.note_maintainer(holder);
        let instant = self.instant();
        self.costs.looked_up += 1;
        let others = match holder == session {
            true => self.metadata.sessions().unwrap(),
            false => self.metadata.session_info(holder).unwrap().into_iter().collect(),
        };
        let mount = &mut self.mounts[index];
        mount.maintains = holder == session;
        if mount.maintains {
            mount.heard.keep(&others);
        }
        let silent: Vec<_> = others
            .iter()
            .filter(|other| is_other_mount(other, session) && mount.heard.is_silent(other, instant))
            .map(|other| Step::End { other: self.by_session[&other.session], heard: other.heartbeat })
            .collect();
        silent.into_iter().for_each(|end| self.plan(Time::ZERO, index, end));
        if self.mounts[index].maintains && at_heartbeat {
            self.trim(index);
        }
    }

    fn note_maintainer(&mut self, holder: SessionId) {
        if let Some((before, _)) = self.maintainer
            && before != holder
        {
            assert!(self.ended.contains(&before), "it is held until its holder has ended");
            if let Some(killed) = self.mounts[self.by_session[&before]].killed {
                self.handed_over.push(self.now - killed);
            }
        }
        if self.maintainer.is_none_or(|(before, _)| before != holder) {
            self.maintainer = Some((holder, self.now));
        }
    }

    fn trim(&mut self, index: usize) {
        let instant = self.instant();
        let trimming = &mut self.mounts[index].trimming;
        let end: Option<Stamp> = self.metadata.feed_end().unwrap();
        end.into_iter().for_each(|end| trimming.note(end, instant));
        while let Some(until) = self.mounts[index].trimming.due(instant) {
            while !self.commit(MetaOp::TrimFeed(TrimFeed { until })).unwrap().into_ended().unwrap() {}
            self.mounts[index].trimming.trimmed();
        }
    }

    fn look(&mut self, index: usize) {
        let mut sessions_ended = false;
        loop {
            self.costs.looks += 1;
            let mount = &mut self.mounts[index];
            let page = mount.follower.read(&self.metadata).unwrap();
            let away = self.now - mount.last_look;
            if page.missed {
                assert!(away >= FEED_KEPT, "events were trimmed that a session had not read for {away:?} only");
                mount.position = self.journal.len();
                sessions_ended = true;
            }
            for event in &page.events {
                let (committed, journaled) = &self.journal[mount.position];
                assert_eq!(event, journaled, "every session hears all there is, in the same order");
                let late = self.now - *committed;
                assert!(late <= away + DELAY_MAX, "told {late:?} after it was committed");
                mount.position += 1;
                sessions_ended |= event.change == Change::Left;
            }
            self.costs.events_heard += page.events.len() as u64;
            if page.end {
                break;
            }
        }
        let mount = &mut self.mounts[index];
        assert_eq!(mount.position, self.journal.len(), "nothing was left out");
        mount.last_look = self.now;
        if sessions_ended {
            self.maintain(index, false);
        }
    }

    fn change(&mut self, index: usize) {
        let set = SetAttributes {
            ino: Ino::ROOT,
            mode: Some(self.random.below(0o1000) as u16),
            uid: None,
            gid: None,
            atime: None,
            mtime: None,
            drop_privileges: false,
            exempt: false,
            despite: Default::default(),
            session: self.mounts[index].session,
            now: self.timestamp(),
        };
        let before = self.journal.len();
        let outcome = self.commit(MetaOp::SetAttributes(set));
        if self.accepted(index, outcome).is_some() {
            let told = self.journal.len() - before;
            assert_eq!(told, 1, "a change is told once, whatever became of the first commit");
        }
    }

    fn end(&mut self, other: usize, heard: Timestamp) {
        let session = self.mounts[other].session;
        let since = Timestamp::from_nanos(heard.as_nanos() + 1);
        let end = EndSession { session, if_silent_since: Some(since), now: self.timestamp() };
        while !self.commit(MetaOp::EndSession(end.clone())).unwrap().into_ended().unwrap() {}
    }

    fn lock_request(&self, index: usize, lock: u64, mode: Option<LockMode>) -> MetaOp {
        MetaOp::SetLock(SetLock {
            ino: Ino::ROOT,
            space: LockSpace::Record,
            owner: 1,
            pid: 1,
            range: LockRange { start: lock, end: lock },
            mode,
            wait: None,
            session: self.mounts[index].session,
        })
    }

    fn take_lock(&mut self, index: usize, lock: u64) {
        let outcome = self.commit(self.lock_request(index, lock, Some(LockMode::Exclusive)));
        let Some(reply) = self.accepted(index, outcome) else { return };
        let holder = self.holders.get(&lock).map(|holder| &self.mounts[*holder]);
        match reply.into_lock().unwrap() {
            LockOutcome::Done => {
                let alone = holder.is_none_or(|holder| self.ended.contains(&holder.session));
                assert!(alone, "a lock was taken from who has it");
                self.holders.insert(lock, index);
                let held = Time::from_millis(self.random.below(20_000));
                self.plan(held, index, Step::Unlock(lock));
            }
            LockOutcome::Blocked { .. } => {
                let holder = holder.expect("somebody has it");
                if let Some(killed) = holder.killed {
                    let since = self.now - killed;
                    assert!(since <= ENDED_WITHIN, "a lock of a killed mount is still held {since:?} later");
                }
                self.plan(Time::from_millis(500), index, Step::TakeLock(lock));
            }
            LockOutcome::Deadlock => panic!("nobody has two"),
        }
    }

    fn unlock(&mut self, index: usize, lock: u64) {
        let outcome = self.commit(self.lock_request(index, lock, None));
        if self.accepted(index, outcome).is_some() {
            self.holders.remove(&lock);
            let pause = Time::from_millis(self.random.below(20_000));
            self.plan(pause, index, Step::TakeLock(lock));
        }
    }

    /// Living ones, and not the one that maintains.
    fn any_mount(&mut self) -> usize {
        loop {
            let index = self.random.below(self.mounts.len() as u64) as usize;
            let mount = &self.mounts[index];
            let maintains = self.maintainer.is_some_and(|(session, _)| session == mount.session);
            if mount.killed.is_none() && !mount.fenced && mount.stands_until <= self.now && !maintains {
                return index;
            }
        }
    }

    fn kill(&mut self, index: usize) {
        self.mounts[index].killed = Some(self.now);
    }

    /// No killed session is listed any more once there was time to notice.
    fn check_the_dead(&self) {
        for mount in &self.mounts {
            if let Some(killed) = mount.killed.filter(|killed| self.now - *killed > ENDED_WITHIN) {
                assert!(self.ended.contains(&mount.session), "killed at {killed:?}, and still not ended");
            }
        }
    }
}

fn simulate(seed: u64, sessions: usize, minutes: u64) {
    let began = Instant::now();
    let mut simulation = Simulation::new(seed);
    (0..sessions).for_each(|_| simulation.join());
    let mut maintainers_killed = 0;
    for minute in 1..=minutes {
        simulation.run_until(Time::from_secs(60 * minute));
        simulation.check_the_dead();
        // Nobody is killed in the last minutes, so that there is time to notice.
        if Time::from_secs(60 * minute) + ENDED_WITHIN >= Time::from_secs(60 * minutes) {
            continue;
        }
        for _ in 0..=sessions / 100 {
            let killed = simulation.any_mount();
            simulation.kill(killed);
            // One for less than a session's term and one for more.
            for stands in [SESSION_EXPIRY / 3, SESSION_EXPIRY * 3] {
                let index = simulation.any_mount();
                simulation.mounts[index].stands_until = simulation.now + stands;
            }
            // In the places of the two that will be gone.
            (0..2).for_each(|_| simulation.join());
        }
        let (maintainer, _) = simulation.maintainer.expect("somebody maintains from the first heartbeat on");
        let maintainer = simulation.by_session[&maintainer];
        if minute % 4 == 1 && simulation.mounts[maintainer].killed.is_none() {
            simulation.kill(maintainer);
            simulation.join();
            maintainers_killed += 1;
        }
    }
    let Simulation { metadata, kv, mounts, handed_over, costs, journal, ended, now, .. } = &simulation;
    assert!(maintainers_killed > 0 && handed_over.len() >= maintainers_killed, "each was followed by another");
    for late in handed_over {
        assert!(*late <= HANDED_OVER_WITHIN, "the maintenance was handed over {late:?} after the holder's death");
    }
    let killed = mounts.iter().filter(|mount| mount.killed.is_some()).count();
    let fenced = mounts.iter().filter(|mount| mount.fenced).count();
    assert!(fenced > 0, "some stood still for too long");
    assert_eq!(ended.len(), killed + fenced, "whoever was silent was ended, and nobody else");
    let kept = metadata.feed_from(None, usize::MAX).unwrap().len();
    let young = journal.iter().filter(|(time, _)| *now - *time <= FEED_KEPT + 3 * HEARTBEAT_INTERVAL).count();
    assert!(kept <= young + 1, "{kept} events are kept, and {young} are young");
    let bytes = session_bytes(kv.as_ref());
    let living = metadata.sessions().unwrap().len();
    let session_seconds = (living as u64 * now.as_secs()) as f64;
    let per_second = |count: u64| count as f64 / session_seconds;
    println!(
        "{living} sessions, {minutes} minutes, {} events, {killed} killed, {fenced} stood still for too long, handed over after \
         {handed_over:?}: a session has {:.0} bytes in the store and {:.2} looks, {:.2} heartbeats and {:.2} looks at who \
         maintains a second; each event is read {:.0} times; {:.1?} of real time",
        journal.len(),
        bytes as f64 / living as f64,
        per_second(costs.looks),
        per_second(costs.beats),
        per_second(costs.looked_up),
        costs.events_heard as f64 / journal.len() as f64,
        began.elapsed(),
    );
}

/// Keys and values of all sessions.
fn session_bytes(kv: &dyn Kv) -> usize {
    let mut bytes = 0;
    kv.read(&mut |reader| {
        let range = shoal_kv::KeyRange::prefix(b"s");
        let pairs = reader.scan(&range, usize::MAX, shoal_kv::Direction::Forward)?;
        bytes = pairs.iter().map(|(key, value)| key.len() + value.len()).sum();
        Ok(())
    })
    .unwrap();
    bytes
}

#[test]
fn many_sessions_hear_of_every_change_and_give_over_what_the_dead_have_left() {
    match std::env::var_os("SHOAL_LONG").is_some() {
        true => simulate(1, 1000, 16),
        false => simulate(1, 40, 14),
    }
}
