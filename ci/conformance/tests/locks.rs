//! Locks of real processes: each script of steps is played in a plain folder, on one mount, and on two mounts of one volume,
//! and every answer must be the same.

use shoal_ci_conformance::is_long;
use shoal_ci_testbed::{Bed, Daemon};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long a request must go unanswered to count as waiting.
const WAITS: Duration = Duration::from_millis(150);
const PATIENCE: Duration = Duration::from_secs(60);

/// A process of its own that does what it's told.
struct Worker {
    child: Child,
    commands: ChildStdin,
    answers: Receiver<String>,
}

impl Worker {
    fn start(folder: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lock-worker"));
        command.current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the worker starts");
        let commands = child.stdin.take().expect("piped");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let (sender, answers) = channel();
        // Ends with the worker, or with the test.
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Worker { child, commands, answers }
    }

    fn begin(&mut self, command: &str) {
        writeln!(self.commands, "{command}").expect("the worker listens");
    }

    fn answer(&self, within: Duration) -> Option<String> {
        self.answers.recv_timeout(within).ok()
    }

    #[track_caller]
    fn ask(&mut self, command: &str) -> String {
        self.begin(command);
        self.answer(PATIENCE).unwrap_or_else(|| panic!("no answer to {command}"))
    }

    #[track_caller]
    fn ok(&mut self, command: &str) {
        assert_eq!(self.ask(command), "ok", "{command}");
    }

    fn kill(&mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be waited for");
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Plays a script with workers A, B and C in these folders, which show the same files; gives what was answered.
///
/// `A: command` is asked and answered. `A> command` must wait, or be answered as soon as anybody would be. `A<` is answered
/// at last. `A!` is killed.
fn play(script: &str, folders: [&Path; 3]) -> Vec<String> {
    let mut workers = folders.map(Worker::start);
    let names = ["A", "B", "C"];
    let pids = workers.each_ref().map(|worker| worker.child.id().to_string());
    let mut children = Vec::new();
    let mut told = Vec::new();
    for step in script.lines().map(str::trim).filter(|step| !step.is_empty()) {
        let (who, rest) = step.split_at(1);
        let worker = &mut workers[names.iter().position(|name| *name == who).expect("A, B or C")];
        let (kind, command) = rest.split_at(1);
        let command = command.trim();
        let answer = match kind {
            ":" if command == "fork" => {
                children.push(worker.ask(command));
                "ok".to_owned()
            }
            ":" if command == "kill" => worker.ask(&format!("kill {}", children.pop().expect("a child"))),
            ":" => worker.ask(command),
            ">" => {
                worker.begin(command);
                worker.answer(WAITS).unwrap_or_else(|| "waits".to_owned())
            }
            "<" => worker.answer(PATIENCE).unwrap_or_else(|| panic!("{step}: no answer")),
            "!" => {
                worker.kill();
                "killed".to_owned()
            }
            _ => panic!("no step {step}"),
        };
        // Who holds a lock, in the words of the script.
        let named = |word: &str| {
            let holder = pids.iter().position(|pid| pid == word);
            holder.map_or(word, |index| names[index]).to_owned()
        };
        let answer: Vec<String> = answer.split(' ').map(named).collect();
        told.push(format!("{step} -> {}", answer.join(" ")));
    }
    for child in children {
        let _ = Command::new("kill").args(["-KILL", &child]).status();
    }
    told
}

/// Two mounts of one volume.
struct Mounts {
    bed: Bed,
    daemons: [Option<Daemon>; 2],
}

impl Mounts {
    fn new() -> Self {
        let bed = Bed::new(&[]);
        let daemons = [bed.mount(&[]), bed.mount_second(&[])].map(Some);
        Mounts { bed, daemons }
    }

    fn folders(&self) -> [PathBuf; 2] {
        [self.bed.mount_point(), self.bed.path("second")]
    }

    fn stop(mut self) {
        for daemon in self.daemons.iter_mut().filter_map(Option::take) {
            assert!(daemon.stop().success(), "{}", self.bed.log());
        }
        self.bed.check();
    }
}

#[track_caller]
fn answers_as_a_local_folder_does(script: &str, expected: &[&str]) {
    let local = tempfile::tempdir().expect("a temporary folder");
    let wanted = play(script, [local.path(); 3]);
    for answer in expected {
        assert!(wanted.iter().any(|told| told.ends_with(&format!("-> {answer}"))), "{answer} in {wanted:#?}");
    }
    let mounts = Mounts::new();
    let [first, second] = mounts.folders();
    assert_eq!(play(script, [&first; 3]), wanted, "on one mount\n{}", mounts.bed.log());
    std::fs::read_dir(&first).expect("listed").for_each(|entry| {
        std::fs::remove_file(entry.expect("listed").path()).expect("removed");
    });
    assert_eq!(play(script, [&first, &second, &first]), wanted, "on two mounts\n{}", mounts.bed.log());
    mounts.stop();
}

fn errno(number: i32) -> String {
    format!("errno {number}")
}

#[test]
fn flock_answers_as_a_local_folder_does() {
    let script = "
        A: open f rw f
        B: open f rw f
        C: open f r f
        A: flock f sh nb
        B: flock f sh nb
        C: flock f ex nb
        A: flock f ex nb
        C: flock f sh nb
        C: flock f un
        B: flock f ex nb
        A: flock f sh nb
        A: flock f un
        B: flock f un
        A: flock f ex nb
        C> flock f sh
        A: write f hello
        A: flock f sh
        C<
        C: read f
        A: flock f un
        A: dup f g
        A: flock g sh nb
        C: flock f un
        A: flock f ex nb
        B> flock f ex
        A: flock g un
        B<
    ";
    answers_as_a_local_folder_does(script, &["ok", &errno(libc::EAGAIN), "waits", "[hello]"]);
}

#[test]
fn record_locks_answer_as_a_local_folder_does() {
    let script = "
        A: open f rw f
        B: open f rw f
        C: open f r f
        A: setlk f w 0 100
        B: getlk f r 50 10
        B: setlk f r 99 1
        B: setlk f w 100 0
        A: getlk f w 0 0
        A: setlk f r 40 20
        B: getlk f w 0 100
        C: setlk f r 45 5
        C: getlk f r 0 40
        C: setlk f w 45 5
        A: setlk f u 10 10
        B: getlk f w 5 10
        B: setlk f w 10 10
        B: getlk f w 60 1
        A> setlkw f w 45 5
        C: setlk f u 0 0
        A<
        B> setlkw f r 0 10
        A: write f hello
        A: setlk f u 0 5
        A: setlk f u 5 5
        B<
        B: read f
        A: setlk f r 9223372036854775807 1
        A: setlk f r -1 1
        B: getlk f w 9223372036854775806 0
        A: setlkw f u 0 0
        B: setlk f w 0 0
        A: getlk f r 0 0
        A: setlk f r 0 1
    ";
    answers_as_a_local_folder_does(script, &["free", "w 0 100 A", &errno(libc::EAGAIN), &errno(libc::EBADF), "waits"]);
}

#[test]
fn locks_of_a_description_survive_dup_and_go_with_the_last_close() {
    let script = "
        A: open f rw f
        A: open g rw f
        B: open f rw f
        A: ofdsetlk f w 0 10
        A: ofdsetlk g w 5 10
        A: setlk f w 5 10
        A: ofdgetlk f w 0 0
        A: dup f h
        A: close f
        B: ofdsetlk f r 0 1
        B> ofdsetlkw f r 0 1
        A: close h
        B<
        B: ofdsetlk f u 0 0
        A: setlk g w 0 0
        B: getlk f r 0 0
    ";
    answers_as_a_local_folder_does(script, &["ok", "free", "waits", &errno(libc::EAGAIN), "w 0 0 A"]);
}

#[test]
fn a_circle_of_waiters_is_a_deadlock() {
    let script = "
        A: open f rw f
        A: open g rw g
        B: open f rw f
        B: open g rw g
        C: open f rw f
        C: open g rw g
        A: setlk f w 0 1
        B: setlk g w 0 1
        C: setlk f w 5 1
        A> setlkw g w 0 1
        B> setlkw f w 5 1
        C> setlkw f w 0 1
        C: setlk f u 0 0
        B<
        B: setlk g u 0 0
        A<
    ";
    answers_as_a_local_folder_does(script, &["waits", &errno(libc::EDEADLK)]);
}

/// Any thread that has the description could give it up: nobody may say that it's a deadlock.
#[test]
fn descriptions_that_wait_for_each_other_wait() {
    let script = "
        A: open f rw f
        B: open f rw f
        A: ofdsetlk f w 0 1
        B: ofdsetlk f w 1 1
        A> ofdsetlkw f w 1 1
        B> ofdsetlkw f w 0 1
        A!
        B<
    ";
    answers_as_a_local_folder_does(script, &["waits", "ok"]);
}

#[test]
fn a_signal_ends_the_wait() {
    let script = "
        A: open f rw f
        B: open f rw f
        C: open f rw f
        A: setlk f w 0 1
        A: flock f ex
        B: alarm 400
        B> setlkw f w 0 1
        B<
        B: alarm 400
        B> flock f ex
        B<
        C> setlkw f w 0 1
        A: setlk f u 0 1
        C<
        B: getlk f r 0 1
        A: flock f un
        C: flock f ex nb
    ";
    answers_as_a_local_folder_does(script, &["waits", &errno(libc::EINTR), "w 0 1 C"]);
}

#[test]
fn closing_any_descriptor_gives_up_a_process_s_locks() {
    let script = "
        A: open f rw f
        B: open f rw f
        A: setlk f w 0 10
        A: open g r f
        B: setlk f w 0 10
        A: close g
        B: setlk f w 0 10
        B: setlk f u 0 0
        A: setlk f w 0 10
        A: dup f h
        A: close h
        B: setlk f w 0 10
        A: getlk f w 0 0
    ";
    answers_as_a_local_folder_does(script, &["ok", &errno(libc::EAGAIN), "w 0 10 B"]);
}

#[test]
fn a_killed_process_leaves_no_locks() {
    let script = "
        A: open f rw f
        B: open f rw f
        C: open f rw f
        A: setlk f w 0 10
        A: flock f ex
        A: write f hello
        B> setlkw f r 0 10
        C> flock f sh
        A!
        B<
        C<
        B: read f
    ";
    answers_as_a_local_folder_does(script, &["waits", "killed", "[hello]"]);
}

#[test]
fn a_child_that_has_the_file_keeps_its_flock_and_not_its_parents_record_lock() {
    let script = "
        A: open f rw f
        B: open f rw f
        A: setlk f w 0 10
        A: flock f ex
        A: fork
        A: close f
        B: setlk f w 0 10
        B: flock f ex nb
        B> flock f ex
        A: kill
        B<
    ";
    answers_as_a_local_folder_does(script, &["ok", &errno(libc::EAGAIN), "waits"]);
}

#[test]
fn what_was_just_closed_is_free_to_whoever_asks_next() {
    let mounts = Mounts::new();
    let [folder, _] = mounts.folders();
    let (mut one, mut other) = (Worker::start(&folder), Worker::start(&folder));
    other.ok("open f rw f");
    for _ in 0..300 {
        one.ok("open f rw f");
        one.ok("flock f ex nb");
        one.ok("ofdsetlk f w 0 0");
        one.ok("close f");
        other.ok("flock f ex nb");
        other.ok("ofdsetlk f w 0 0");
        other.ok("flock f un");
        other.ok("ofdsetlk f u 0 0");
    }
    drop((one, other));
    mounts.stop();
}

/// Before it's free, what was written has to be committed: also what others have written since it was closed.
#[test]
fn what_was_just_closed_is_free_while_others_write() {
    let mounts = Mounts::new();
    let [folder, _] = mounts.folders();
    let mut worker = Worker::start(&folder);
    let (few, many) = ("y".repeat(3_000), "z".repeat(70_000));
    for _ in 0..if is_long() { 5_000 } else { 500 } {
        for lock in ["flock $ ex nb", "ofdsetlk $ w 0 0"] {
            let [own, others] = ["f", "g"].map(|name| lock.replace('$', name));
            worker.ok("open f rw f");
            worker.ok("open g rw f");
            worker.ok(&own);
            worker.ok(&format!("write f {few}"));
            // As fast as the worker can.
            worker.begin(&format!("close f\nwrite g {many}\n{others}\nclose g"));
            for step in ["the close", "the write", lock, "the other close"] {
                assert_eq!(worker.answer(PATIENCE).as_deref(), Some("ok"), "{step}");
            }
        }
    }
    drop(worker);
    mounts.stop();
}

#[test]
fn nothing_counted_by_sixteen_processes_on_two_mounts_is_lost() {
    const WORKERS: usize = 8;
    let times = if is_long() { 100_000 / (2 * WORKERS) } else { 150 };
    let mounts = Mounts::new();
    let [first, second] = mounts.folders();
    for kind in ["flock", "fcntl"] {
        std::fs::write(first.join(kind), format!("{:020}", 0)).expect("written");
        let folders = [&first, &second].into_iter().flat_map(|folder| [folder; WORKERS]);
        let mut workers: Vec<Worker> = folders.map(|folder| Worker::start(folder)).collect();
        workers.iter_mut().for_each(|worker| worker.ok(&format!("open f rw {kind}")));
        let start = Instant::now();
        workers.iter_mut().for_each(|worker| worker.begin(&format!("count f {kind} {times}")));
        for worker in &workers {
            assert_eq!(worker.answer(Duration::from_secs(3600)).as_deref(), Some("ok"), "{}", mounts.bed.log());
        }
        let expected = 2 * WORKERS * times;
        println!("{expected} increments under {kind} in {:.1?}", start.elapsed());
        for folder in [&first, &second] {
            let counted = std::fs::read_to_string(folder.join(kind)).expect("read");
            assert_eq!(counted, format!("{expected:020}"), "under {kind}");
        }
    }
    mounts.stop();
}

#[test]
fn a_killed_mount_leaves_no_locks() {
    let mut mounts = Mounts::new();
    let [first, second] = mounts.folders();
    let (mut holder, mut waiter) = (Worker::start(&first), Worker::start(&second));
    for worker in [&mut holder, &mut waiter] {
        worker.ok("open f rw f");
    }
    holder.ok("flock f ex");
    holder.ok("setlk f w 0 0");
    waiter.begin("flock f ex");
    assert_eq!(waiter.answer(WAITS), None);
    let start = Instant::now();
    mounts.daemons[0].take().expect("it runs").kill();
    assert_eq!(waiter.answer(PATIENCE).as_deref(), Some("ok"), "{}", mounts.bed.log());
    println!("the flock of a killed mount was free after {:.1?}", start.elapsed());
    waiter.ok("setlkw f w 0 0");
    drop((holder, waiter));
    mounts.stop();
}
