//! Which process is which: number, start time and boot together, because the kernel gives numbers out again.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno as OsError;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};
use std::fs;
use std::time::Duration;

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProcessIdentity {
    pub pid: u32,
    /// Clock ticks between boot and its start.
    pub started_ticks: u64,
    /// The kernel's boot id.
    pub boot: String,
}

impl ProcessIdentity {
    pub fn of_self() -> std::io::Result<Self> {
        let pid = std::process::id();
        Ok(ProcessIdentity { pid, started_ticks: start_ticks(pid)?, boot: boot_id()? })
    }

    pub fn is_alive(&self) -> bool {
        boot_id().is_ok_and(|boot| boot == self.boot)
            && start_ticks(self.pid).is_ok_and(|ticks| ticks == self.started_ticks)
    }

    /// Waits until it has ended. `false`: the time ran out before.
    pub fn wait_for_end(&self, timeout: Duration) -> bool {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else {
            return true;
        };
        // The descriptor is taken first: the process looked at after that is the one that is waited for.
        let handle = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => handle,
            Err(_) => return !self.is_alive(),
        };
        if !self.is_alive() {
            return true;
        }
        let timeout = timeout.try_into().expect("a wait is shorter than the kernel can count");
        loop {
            match poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&timeout)) {
                Ok(ready) => return ready > 0,
                Err(OsError::INTR) => {}
                Err(_) => return !self.is_alive(),
            }
        }
    }
}

pub fn boot_id() -> std::io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// Zombies do not count.
pub fn exists(pid: u32) -> bool {
    start_ticks(pid).is_ok()
}

/// Whether a process calls itself as this program does; its number may have been given out again.
pub fn is_shoal(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim_end() == NAME)
}

/// In the list of processes, whatever file it was started from.
pub fn take_name() {
    // A name is a convenience; a kernel that refuses it costs nothing.
    let _ = rustix::thread::set_name(c"shoal");
}

/// The container's space of process numbers, as the kernel numbers it; `None` outside of containers.
pub fn namespace() -> std::io::Result<Option<u64>> {
    use std::os::unix::fs::MetadataExt;
    /// Fixed in the kernel for the space that all others are inside of.
    const OUTERMOST: u64 = 0xefff_fffc;
    let number = fs::metadata("/proc/self/ns/pid")?.ino();
    Ok((number != OUTERMOST).then_some(number))
}

const NAME: &str = "shoal";

/// Field 22 of `/proc/PID/stat`. The second field is the program's name in brackets, which may hold anything. A process
/// that has ended and waits for its parent to ask (state Z) counts as gone.
fn start_ticks(pid: u32) -> std::io::Result<u64> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_stat(&line).ok_or_else(|| std::io::Error::other("no such process"))
}

fn parse_stat(line: &str) -> Option<u64> {
    let mut fields = line.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    let ticks = fields.nth(18)?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(ticks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn this_process_lives_and_an_ended_one_does_not() {
        assert!(ProcessIdentity::of_self().unwrap().is_alive());
        let mut child = Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let identity = ProcessIdentity {
            pid: child.id(),
            started_ticks: start_ticks(child.id()).unwrap(),
            boot: boot_id().unwrap(),
        };
        assert!(identity.is_alive());
        assert!(!identity.wait_for_end(Duration::ZERO));
        drop(child.stdin.take());
        assert!(identity.wait_for_end(Duration::from_secs(60)));
        child.wait().unwrap();
        assert!(!identity.is_alive());
    }

    #[test]
    fn a_number_given_out_again_is_another_process() {
        let own = ProcessIdentity::of_self().unwrap();
        let earlier = ProcessIdentity { started_ticks: own.started_ticks.wrapping_sub(1), ..own.clone() };
        let before_boot = ProcessIdentity { boot: "another".into(), ..own };
        assert!(!earlier.is_alive() && !before_boot.is_alive());
        assert!(earlier.wait_for_end(Duration::from_secs(60)));
    }

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let line = "7 (a) S) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 1";
        assert_eq!(parse_stat(line), Some(4242));
        assert_eq!(parse_stat(&line.replace(") S 1", ") Z 1")), None);
    }
}
