//! A server program of this machine's, with its data where a test wants it: started, killed in mid-work, started again.
//!
//! Relies on `pgrep` for finding children. Whatever the test does, nothing of it keeps running.

use crate::wait_until;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

pub struct Server {
    child: Child,
    ended: bool,
}

/// Far beyond what a start with recovery or an orderly end may take here.
const PATIENCE: Duration = Duration::from_secs(120);

impl Server {
    /// Starts a program that stays in the foreground, and waits until it is ready. What it prints is added to `log`.
    #[track_caller]
    pub fn start(mut command: Command, log: &Path, ready: impl Fn() -> bool) -> Self {
        let told = std::fs::OpenOptions::new().create(true).append(true).open(log).expect("a log opens");
        let also_told = told.try_clone().expect("a file has more than one name");
        command.stdin(Stdio::null()).stdout(told).stderr(also_told);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut server = Server { child, ended: false };
        wait_until(PATIENCE, &format!("{command:?} to be ready, see {}", log.display()), || {
            let ended = server.child.try_wait().expect("a child of ours can be waited for");
            let log = || std::fs::read_to_string(log).unwrap_or_default();
            assert!(ended.is_none(), "{command:?} ended: {}", log());
            ready()
        });
        server
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL for it and for all its children, none of whom is left afterwards.
    pub fn kill(mut self) {
        self.kill_all();
    }

    /// The orderly end by a signal of its choice.
    #[track_caller]
    pub fn stop(mut self, signal: &str) -> ExitStatus {
        send(signal, self.pid());
        let mut status = None;
        wait_until(PATIENCE, "the server to end", || {
            status = self.child.try_wait().expect("a child of ours can be waited for");
            status.is_some()
        });
        self.ended = true;
        status.expect("it has ended")
    }

    fn kill_all(&mut self) {
        // Stopped first, so that it starts no more children and does not put anything in order when they die.
        send("STOP", self.pid());
        let output = Command::new("pgrep").arg("-P").arg(self.pid().to_string()).output().expect("pgrep starts");
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let children: Vec<u32> = told.lines().map(|pid| pid.parse().expect("pgrep prints numbers")).collect();
        children.iter().for_each(|pid| send("KILL", *pid));
        send("KILL", self.pid());
        self.child.wait().expect("a child of ours can be waited for");
        self.ended = true;
        wait_until(PATIENCE, "the server's children to be gone", || !children.iter().any(|pid| lives(*pid)));
    }
}

fn send(signal: &str, pid: u32) {
    // Who is gone already needs no signal.
    let _ = Command::new("kill").arg(format!("-{signal}")).arg(pid.to_string()).stderr(Stdio::null()).status();
}

/// A zombie does not: it holds nothing any more, and whoever adopted it may take his time.
fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, fields)| !fields.starts_with('Z'))
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.ended {
            self.kill_all();
        }
    }
}
