//! Plays histories, compares, and cuts down what went wrong.

use super::answer::{Look, Outcome};
use super::call::{Action, Call, PROCESSES, Slot};
use super::differences::{LEFT_OUT_OF_TWO, NOT_MADE, OTHER_TIMES, Side};
use super::folder::{Ground, patiently};
use super::generate::Generator;
use super::kernel::{Expected, Kernel};
use super::process::Process;
use super::tree;
use shoal_kv::Random;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Where histories are played. Each process has its own mount of one volume, or all have the same.
pub struct Histories {
    pub mounts: Vec<PathBuf>,
    pub plain: PathBuf,
    pub calls: usize,
    /// How often each known difference was let through.
    pub excused: Mutex<BTreeMap<&'static str, u64>>,
}

/// The processes that play one history at a time.
pub struct Players {
    processes: Vec<Process>,
    name: String,
    played: u64,
}

/// One history in progress.
struct Play<'a> {
    players: &'a Players,
    excused: &'a Mutex<BTreeMap<&'static str, u64>>,
    kernel: Kernel,
    /// The mounts of the processes, then the plain folder.
    folders: Vec<PathBuf>,
    /// Descriptors on the mounts.
    opened: BTreeMap<Slot, PathBuf>,
    /// What each side showed of an inode of the oracle's when it was last looked at, and what the oracle knew then.
    seen: BTreeMap<(Side, u64), (Look, Look)>,
}

impl Players {
    pub fn start(name: &str) -> Self {
        Players { processes: (0..PROCESSES).map(|_| Process::start()).collect(), name: name.into(), played: 0 }
    }
}

impl Histories {
    /// Plays the history of a seed; what went wrong, with the calls that it takes.
    pub fn check(&self, players: &mut Players, seed: u64) -> Result<(), String> {
        let mut random = Random::new(seed);
        let mut calls = Vec::new();
        let result = self.play(players, |kernel| {
            if calls.len() == self.calls {
                return None;
            }
            let call = Generator::new(&mut random, kernel).call();
            calls.push(call.clone());
            Some(call)
        });
        result.map_err(|first| {
            let (calls, complaint) = self.cut_down(players, calls, first);
            let lines: Vec<String> = calls.iter().map(Call::to_string).collect();
            format!("seed {seed}, cut down to {} calls:\n{}\n{complaint}", lines.len(), lines.join("\n"))
        })
    }

    /// Leaves out what isn't needed to go wrong: first halves, in the end single calls.
    fn cut_down(&self, players: &mut Players, mut calls: Vec<Call>, mut complaint: String) -> (Vec<Call>, String) {
        let mut length = calls.len().div_ceil(2).max(1);
        let mut plays = 0;
        while plays < PLAYS_MAX {
            let mut start = 0;
            let mut left_out = false;
            while start < calls.len() && plays < PLAYS_MAX {
                let end = (start + length).min(calls.len());
                let rest = [&calls[..start], &calls[end..]].concat();
                plays += 1;
                match self.replay(players, &rest) {
                    Err((used, again)) => {
                        calls = rest[..used].to_vec();
                        complaint = again;
                        left_out = true;
                    }
                    Ok(()) => start = end,
                }
            }
            if length == 1 && !left_out {
                break;
            }
            length = length.div_ceil(2);
        }
        (calls, complaint)
    }

    /// How many of the calls it took to go wrong.
    fn replay(&self, players: &mut Players, calls: &[Call]) -> Result<(), (usize, String)> {
        let mut next = 0;
        let result = self.play(players, |kernel| {
            while next < calls.len() {
                next += 1;
                if kernel.can(&calls[next - 1]) {
                    return Some(calls[next - 1].clone());
                }
            }
            None
        });
        result.map_err(|complaint| (next, complaint))
    }

    fn play(&self, players: &mut Players, mut next: impl FnMut(&Kernel) -> Option<Call>) -> Result<(), String> {
        players.played += 1;
        let name = format!("{}-{}", players.name, players.played);
        let mut play = Play::begin(self, players, &name);
        let mut result = Ok(());
        while result.is_ok() {
            let Some(call) = next(&play.kernel) else { break };
            result = play.step(&call);
        }
        result = result.and_then(|()| play.compare_trees());
        play.end();
        result
    }
}

impl<'a> Play<'a> {
    fn begin(histories: &'a Histories, players: &'a Players, name: &str) -> Self {
        let Histories { mounts, plain, excused, .. } = histories;
        let folders: Vec<PathBuf> = mounts.iter().chain([plain]).map(|path| path.join(name)).collect();
        for folder in [&folders[0], &folders[mounts.len()]] {
            fs::create_dir(folder).expect("a folder for each history");
            fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).expect("our folder takes a mode");
        }
        for (number, process) in players.processes.iter().enumerate() {
            let mount = Ground { path: folders[number % mounts.len()].clone(), syncs: true, shared: mounts.len() > 1 };
            process.begin(vec![mount, Ground { path: folders[mounts.len()].clone(), syncs: false, shared: false }]);
        }
        let left_out = if mounts.len() > 1 { LEFT_OUT_OF_TWO } else { &[] };
        Play {
            players,
            excused,
            kernel: Kernel::new(left_out),
            folders,
            opened: BTreeMap::new(),
            seen: BTreeMap::new(),
        }
    }

    fn end(self) {
        self.players.processes.iter().for_each(Process::end);
        for folder in [&self.folders[0], &self.folders[self.folders.len() - 1]] {
            fs::remove_dir_all(folder).expect("what a history leaves can be removed");
        }
    }

    fn step(&mut self, call: &Call) -> Result<(), String> {
        let not_made = NOT_MADE.iter().find(|not_made| (not_made.applies)(call, &self.kernel));
        let on_plain = !self.excuse(not_made.map(|not_made| not_made.why));
        let process = &self.players.processes[usize::from(call.process)];
        self.show(call);
        let mut outcomes = process.call(call, vec![true, on_plain]);
        let expected = self.kernel.call(call);
        let looks = self.kernel.looks(call);
        self.show(call);
        self.wait_for_lock(call, &expected, &mut outcomes[0]);
        match (&call.action, &outcomes[0].opened) {
            (Action::Close { slot }, _) => drop(self.opened.remove(slot)),
            (action, Some(path)) => drop(self.opened.insert(action.new_slot().expect("it made one"), path.clone())),
            _ => {}
        }
        for (side, outcome) in [Side::Mount, Side::Plain].into_iter().zip(&outcomes) {
            self.judge(side, call, &expected, &looks, outcome)
                .map_err(|complaint| format!("{complaint}\n{}", tell(call, &expected, &looks, &outcomes)))?;
        }
        self.drop_unjudged(call, &expected, &outcomes)
    }

    /// Mounts see each other's data from close to open, so somebody opens and closes what the call is about.
    fn show(&self, call: &Call) {
        if !self.has_two_mounts() {
            return;
        }
        for slot in call.action.slots() {
            if self.kernel.is_open(slot) && self.kernel.is_usable_file(slot) {
                let file = File::options().read(true).write(true).open(&self.opened[&slot]);
                drop(file.expect("root opens what a process of its has open"));
            }
        }
        // The kernel refuses to rename a directory that another mount has moved (ESTALE) until somebody has looked it up.
        if let Action::Rename { from, to, .. } = &call.action {
            for place in [from, to] {
                let folder = &self.folders[usize::from(call.process)];
                let start = place.from.map_or(folder, |slot| &self.opened[&slot]);
                let path = start.join(OsStr::from_bytes(&place.path));
                let _ = patiently(true, || fs::symlink_metadata(&path));
            }
        }
    }

    /// What was closed on one mount is free on the other a moment later.
    fn wait_for_lock(&self, call: &Call, expected: &Expected, outcome: &mut Outcome) {
        let is_lock = matches!(call.action, Action::Flock { .. } | Action::Lock { .. } | Action::TestLock { .. });
        let deadline = Instant::now() + RELEASE_TIME_MAX;
        let wrong = |outcome: &Outcome| outcome.answer.as_ref().is_some_and(|answer| !expected.allows(answer));
        while self.has_two_mounts() && is_lock && wrong(outcome) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
            let process = &self.players.processes[usize::from(call.process)];
            *outcome = process.call(call, vec![true, false]).swap_remove(0);
        }
    }

    fn has_two_mounts(&self) -> bool {
        self.folders.len() > 2
    }

    fn judge(
        &mut self,
        side: Side,
        call: &Call,
        expected: &Expected,
        expected_looks: &[Option<Look>],
        outcome: &Outcome,
    ) -> Result<(), String> {
        if matches!(expected, Expected::Unjudged) {
            return Ok(());
        }
        if let Some(answer) = &outcome.answer
            && !expected.allows(answer)
        {
            return Err(format!("{side:?} answers otherwise"));
        }
        for (number, (expected, found)) in expected_looks.iter().zip(&outcome.looks).enumerate() {
            let target = &call.action.watched()[number];
            if let Err(what) = self.compare_looks(side, call, expected.as_ref(), found.as_ref()) {
                return Err(format!("{side:?}: {what} of {target:?}\nis {found:?}\nnot {expected:?}"));
            }
        }
        Ok(())
    }

    /// Numbers and times are of each side's own; whether they have changed is the same for all. The error says what differs.
    fn compare_looks(
        &mut self,
        side: Side,
        call: &Call,
        expected: Option<&Look>,
        found: Option<&Look>,
    ) -> Result<(), &'static str> {
        let (expected, found) = match (expected, found) {
            (None, None) => return Ok(()),
            (Some(expected), Some(found)) => (expected, found),
            _ => return Err("the presence"),
        };
        if expected.seen != found.seen {
            return Err("something");
        }
        let both = (expected.clone(), found.clone());
        let Some((before, found_before)) = self.seen.insert((side, expected.number), both) else { return Ok(()) };
        if found_before.number != found.number {
            return Err("the inode number");
        }
        let other = |what| {
            let mut of_side = OTHER_TIMES.iter().filter(|other| other.side == side);
            self.excuse(of_side.find(|other| (other.applies)(call, what)).map(|other| other.why))
        };
        let differ =
            |what, expected: bool, found: bool| if expected == found || other(what) { Ok(()) } else { Err(what) };
        differ("a change of mtime", expected.modified != before.modified, found.modified != found_before.modified)?;
        differ("a change of ctime", expected.changed != before.changed, found.changed != found_before.changed)
    }

    /// Whether there is a reason to let something through.
    fn excuse(&self, why: Option<&'static str>) -> bool {
        let Some(why) = why else { return false };
        *self.excused.lock().expect("nobody panics with it").entry(why).or_default() += 1;
        true
    }

    /// What the oracle does not judge both sides have to agree on, and nothing of it is left open.
    fn drop_unjudged(&self, call: &Call, expected: &Expected, outcomes: &[Outcome]) -> Result<(), String> {
        if !matches!(expected, Expected::Unjudged) {
            return Ok(());
        }
        let answers: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.answer.as_ref()).collect();
        if answers.windows(2).any(|pair| pair[0] != pair[1]) {
            return Err(format!("the sides do not agree\n{}", tell(call, expected, &[], outcomes)));
        }
        if let Action::Open { slot, .. } = call.action
            && answers[0].is_ok()
        {
            let close = Call { action: Action::Close { slot }, ..call.clone() };
            self.players.processes[usize::from(call.process)].call(&close, vec![true, true]);
        }
        Ok(())
    }

    fn compare_trees(&self) -> Result<(), String> {
        let expected = tree::of_oracle(&self.kernel);
        for folder in &self.folders {
            let found = tree::of_folder(folder);
            for (path, node) in &expected {
                let found = found.get(path);
                if found != Some(node) {
                    let path = String::from_utf8_lossy(path);
                    return Err(format!("at the end {path:?} in {folder:?}\nis {found:?}\nnot {node:?}"));
                }
            }
            if let Some(path) = found.keys().find(|path| !expected.contains_key(*path)) {
                return Err(format!("at the end there is {:?} in {folder:?}", String::from_utf8_lossy(path)));
            }
        }
        Ok(())
    }
}

fn tell(call: &Call, expected: &Expected, looks: &[Option<Look>], outcomes: &[Outcome]) -> String {
    let mut text = format!("{call}\nexpected: {expected:?}, {looks:?}\n");
    for (side, outcome) in ["the mount", "the plain folder"].into_iter().zip(outcomes) {
        text += &format!("{side}: {outcome:?}\n");
    }
    // Bytes that were read would fill the screen.
    text.lines().map(|line| line.chars().take(2000).collect::<String>() + "\n").collect()
}

/// Far beyond what it takes one mount to hear that another has let go of a lock.
const RELEASE_TIME_MAX: Duration = Duration::from_secs(5);
/// Of one history that went wrong.
const PLAYS_MAX: u32 = 400;
