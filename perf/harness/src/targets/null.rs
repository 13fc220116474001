//! The null server: files in memory behind our own protocol and transport.

use super::mounts::unmount_by_force;
use super::{Ground, Running, Setup, Stop, fresh_folder};
use crate::arguments::TargetKind;
use crate::failure::{During, Failure, Outcome};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

struct Server {
    child: Child,
    point: PathBuf,
}

impl Stop for Server {}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = Pid::from_raw(self.child.id() as i32).expect("a child has a positive number");
        // It unmounts on SIGTERM and ends. If it ended before, there is nothing to signal.
        let _ = kill_process(pid, Signal::TERM);
        if let Err(error) = self.child.wait() {
            eprintln!("perf: the null server did not end: {error}");
        }
        unmount_by_force(&self.point);
    }
}

pub(super) fn start(setup: Setup, ground: &Ground) -> Outcome<Running> {
    let point = fresh_folder(&ground.disk.join("null"))?;
    let binary = ground.binaries.join("shoal-null");
    let validity = if setup == Setup::NoAttributeCache { "0" } else { "1" };
    let mut command = Command::new(&binary);
    command.arg(&point).args(["--foreground", "--attr-timeout", validity]);
    // A group of its own: Ctrl-C is for us, and we end it when nothing uses it any more.
    let command = command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().during(binary.display())?;
    let stdout = child.stdout.take().expect("its output is piped");
    let server = Server { child, point: point.clone() };
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).during(binary.display())?;
    if !line.starts_with("mounted") {
        return Err(Failure::new(format_args!("{} did not mount on {}", binary.display(), point.display())));
    }
    Ok(Running { kind: TargetKind::Null, root: point, other_roots: Vec::new(), cache: None, stop: Box::new(server) })
}
