//! Ctrl-C and SIGTERM: the program that runs for us is ended, and every step after it fails as interrupted, so that the
//! owners of mounts unmount them on the way out.

use crate::failure::{During, Failure, Outcome};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::os::fd::OwnedFd;
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

static STOPPED: AtomicBool = AtomicBool::new(false);
/// The program that is waited for now. A descriptor, because a number may be another process's by the time we use it.
static CHILD: Mutex<Option<OwnedFd>> = Mutex::new(None);

/// Watches from now on, for the life of the process.
pub fn watch() -> Outcome<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).during("watching for signals")?;
    std::thread::spawn(move || {
        for _ in signals.forever() {
            STOPPED.store(true, Ordering::SeqCst);
            end_child();
        }
    });
    Ok(())
}

pub fn check() -> Outcome<()> {
    if STOPPED.load(Ordering::SeqCst) { Err(Failure::interrupted()) } else { Ok(()) }
}

/// Runs a program to its end, and refuses an exit status other than zero with what it said.
pub fn run(command: &mut Command) -> Outcome<Output> {
    check()?;
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().during(&name)?;
    let pid = Pid::from_raw(child.id() as i32).expect("a child has a positive number");
    *lock() = Some(pidfd_open(pid, PidfdFlags::empty()).during(&name)?);
    // The signal may have come between the check and this.
    if STOPPED.load(Ordering::SeqCst) {
        end_child();
    }
    let output = child.wait_with_output();
    *lock() = None;
    check()?;
    let output = output.during(&name)?;
    match output.status.success() {
        true => Ok(output),
        false => Err(Failure::new(format_args!("{name} failed ({}): {}", output.status, last_words(&output)))),
    }
}

fn last_words(output: &Output) -> String {
    let said = [&output.stderr[..], &output.stdout[..]].concat();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).take(LINES_MAX).collect();
    lines.join(" | ")
}

fn end_child() {
    if let Some(child) = &*lock() {
        // It may have ended by itself in this moment.
        let _ = pidfd_send_signal(child, Signal::TERM);
    }
}

fn lock() -> std::sync::MutexGuard<'static, Option<OwnedFd>> {
    CHILD.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

const LINES_MAX: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_fails_is_named_with_what_it_said() {
        assert_eq!(run(Command::new("echo").arg("well")).unwrap().stdout, b"well\n");
        let refused = run(Command::new("ls").arg("/nowhere-at-all")).unwrap_err().to_string();
        assert!(refused.starts_with("ls failed") && refused.contains("/nowhere-at-all"), "{refused}");
        assert!(run(&mut Command::new("/nowhere-at-all")).unwrap_err().to_string().contains("/nowhere-at-all"));
    }
}
