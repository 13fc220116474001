//! A mount whose daemon is our child.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

pub struct Daemon {
    child: Child,
    mount_point: PathBuf,
    ended: bool,
}

/// Far beyond what a flush of everything buffered may take here.
const END_TIME_MAX: Duration = Duration::from_secs(120);

impl Daemon {
    pub(crate) fn start(mut command: Command, mount_point: PathBuf) -> Self {
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let mut lines = BufReader::new(child.stderr.take().expect("its standard error is piped"));
        let mut told = String::new();
        let mut line = String::new();
        while lines.read_line(&mut line).is_ok_and(|count| count > 0) {
            told.push_str(&line);
            if line.contains("is mounted on") {
                // Whatever it says later is read, so that it never waits for us.
                std::thread::spawn(move || lines.lines().for_each(drop));
                return Daemon { child, mount_point, ended: false };
            }
            line.clear();
        }
        let status = child.wait();
        panic!("the volume was not mounted ({status:?}): {told}");
    }

    pub fn mount_point(&self) -> &Path {
        &self.mount_point
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL: it has no chance to put anything away.
    pub fn kill(mut self) {
        self.child.kill().expect("a child of ours can be killed");
        self.child.wait().expect("a child of ours can be waited for");
        self.ended = true;
    }

    /// The orderly end; panics when it takes too long.
    pub fn stop(mut self) -> ExitStatus {
        self.terminate();
        let deadline = Instant::now() + END_TIME_MAX;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child of ours can be waited for") {
                self.ended = true;
                return status;
            }
            assert!(Instant::now() < deadline, "the daemon does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kilobytes of memory it holds now, as the kernel counts them.
    pub fn resident_kb(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("a living child has a status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the kernel tells VmRSS");
        line.trim().trim_end_matches("kB").trim().parse().expect("a number of kilobytes")
    }

    /// Seconds of processor time it has used so far.
    pub fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("a living child has a stat");
        let fields: Vec<&str> = stat[stat.rfind(')').expect("a name in brackets") + 2..].split(' ').collect();
        let ticks = |index: usize| fields[index].parse::<u64>().expect("a number of ticks");
        (ticks(11) + ticks(12)) as f64 / CLOCK_TICKS_PER_SECOND
    }

    fn terminate(&self) {
        let killed = Command::new("kill").arg("-TERM").arg(self.pid().to_string()).status();
        assert!(killed.is_ok_and(|status| status.success()), "a child of ours can be told to end");
    }
}

/// `USER_HZ`, the same on every Linux this runs on.
const CLOCK_TICKS_PER_SECOND: f64 = 100.0;

impl Drop for Daemon {
    fn drop(&mut self) {
        if !self.ended {
            // A test failed. Killed, and the mount taken away, so that nothing hangs on it.
            let _ = self.child.kill();
            let _ = self.child.wait();
            let _ = Command::new("umount").arg("-l").arg(&self.mount_point).stderr(Stdio::null()).status();
        }
    }
}
