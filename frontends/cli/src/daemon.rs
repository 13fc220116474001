//! Mounting in the background: the program starts itself again as a daemon and waits until that serves, or says why not.
//!
//! The daemon is a fresh process in a session of its own, started before any thread of ours exists in it. It reads its
//! orders from standard input and reports once, in one line, on standard output; both are closed from then on.

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::logging;
use crate::mount_request::MountRequest;
use crate::places;
use crate::process;
use crate::serve::{self, Serving};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::RawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The hidden command the daemon runs as.
pub const COMMAND: &str = "daemon";
/// The running program, also when its file has been replaced.
const OWN_PROGRAM: &str = "/proc/self/exe";

#[derive(Serialize, Deserialize)]
enum Report {
    Serving(Serving),
    Failed(Failure),
}

/// Returns once the volume is mounted.
pub fn start(request: &MountRequest) -> Outcome<Serving> {
    request.check()?;
    let orders = serde_json::to_vec(request)
        .map_err(|error| Failure::new(Exit::Usage, request.mount_point.display(), error, "use names in UTF-8"))?;
    let broken = |error| Failure::of_io(Path::new(OWN_PROGRAM), "starting the daemon", &error);
    let mut command = Command::new(OWN_PROGRAM);
    // The name and the mount point are for whoever looks at the list of processes.
    command.arg0("shoal").arg(COMMAND).arg(request.meta_url.shown()).arg(&request.mount_point);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(broken)?;
    let mut orders_to = child.stdin.take().expect("its input is piped");
    orders_to.write_all(&orders).map_err(broken)?;
    drop(orders_to);
    await_report(child, request)
}

fn await_report(mut child: Child, request: &MountRequest) -> Outcome<Serving> {
    let mut line = String::new();
    let mut reports = BufReader::new(child.stdout.take().expect("its output is piped"));
    let read = reports.read_line(&mut line);
    let ended = |why: String| Failure::new(Exit::Other, "the mount's daemon", why, see_log(request));
    match serde_json::from_str(&line) {
        Ok(Report::Serving(serving)) => Ok(serving),
        Ok(Report::Failed(failure)) => {
            // It has nothing left to do but end; waiting leaves no trace of it in the list of processes.
            let _ = child.wait();
            Err(failure)
        }
        Err(_) => {
            let status = child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
            Err(ended(match read {
                Ok(_) => format!("it ended before it had mounted ({status})"),
                Err(error) => format!("it could not be heard: {error}"),
            }))
        }
    }
}

/// The name of the usual log is known only to who has opened the volume; that of its folder, always.
fn see_log(request: &MountRequest) -> String {
    match (&request.log_file, places::log_folder()) {
        (Some(path), _) => format!("see its log, {}", path.display()),
        (None, Ok(folder)) => format!("see the latest log in {}", folder.display()),
        (None, Err(_)) => "see its log".into(),
    }
}

/// The daemon's whole life.
pub fn run() -> Outcome<()> {
    close_inherited();
    let result = obey();
    if let Err(failure) = &result {
        tracing::error!("{failure}");
        report(&Report::Failed(failure.clone()));
    }
    result
}

fn obey() -> Outcome<()> {
    // Otherwise it would be listed as "exe", after the link it was started by.
    process::take_name();
    let mut orders = Vec::new();
    let read = std::io::stdin().read_to_end(&mut orders);
    let request = match read
        .map_err(|error| error.to_string())
        .and_then(|_| serde_json::from_slice::<MountRequest>(&orders).map_err(|error| error.to_string()))
    {
        Ok(request) => request,
        Err(error) => return Err(Failure::usage(format_args!("daemon: {error}; this command is for shoal itself"))),
    };
    // Already a leader only if somebody started it by hand; then it has its own session as well.
    let _ = rustix::process::setsid();
    std::env::set_current_dir("/").map_err(|error| Failure::of_io(Path::new("/"), "entering it", &error))?;
    serve::run(&request, Some(into_log), |serving| {
        report(&Report::Serving(serving.clone()));
        let _ = std::io::stdout().flush();
        if let Err(error) = close_standard_streams() {
            tracing::warn!(%error, "closing the standard streams");
        }
    })
}

/// What the daemon says on standard error from now on, a panic included, goes to the log.
fn into_log(request: &MountRequest, path: &Path) -> Outcome<()> {
    let file = logging::open_file(path)?;
    rustix::stdio::dup2_stderr(&file).map_err(|error| Failure::of_io(path, "writing to the log", &error.into()))?;
    logging::start(&request.log_level, Some(file))
}

/// A shell may have left open what is not for a daemon: a lock, or a pipe whose reader waits for its end.
fn close_inherited() {
    const OPEN: &str = "/proc/self/fd";
    let Ok(folder) = std::fs::read_dir(OPEN) else { return };
    let numbers: Vec<RawFd> = folder.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for number in numbers {
        // The listing itself was one of them, and is closed by now.
        if number > 2 && Path::new(OPEN).join(number.to_string()).is_symlink() {
            // SAFETY: this is the first thing the program does, in its only thread, and nothing of it owns an open
            // descriptor yet: the number belongs to whoever started it, and is open.
            unsafe { rustix::io::close(number) };
        }
    }
}

fn report(report: &Report) {
    let text = serde_json::to_string(report).expect("a report is made of plain text");
    let mut stdout = std::io::stdout();
    // Nobody may be listening any more, and then nobody wants it.
    let _ = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
}

fn close_standard_streams() -> std::io::Result<()> {
    let nothing = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    Ok(rustix::stdio::dup2_stdout(&nothing)?)
}
