//! A server process: started, asked until it answers, killed, started again over the same data.

use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What differs between servers.
pub trait Program: Send + 'static {
    /// Makes what the server needs in its folder before it is first started.
    fn prepare(&self, folder: &Path);

    /// In the foreground, with all its files in `folder`, listening on this port of 127.0.0.1.
    fn command(&self, folder: &Path, port: u16) -> Command;

    /// Succeeds once the server answers.
    fn probe(&self, folder: &Path, port: u16) -> Command;

    /// The META-URL, or the storage URL, of the volume with this prefix on a server at this port.
    fn url(&self, port: u16, prefix: &str) -> String;
}

/// A probe for servers that speak HTTP: whatever they answer, also a refusal, they are there.
pub(crate) fn any_http_answer(port: u16) -> Command {
    const ASK: &str = "\
import sys, urllib.error, urllib.request
try: urllib.request.urlopen(sys.argv[1])
except urllib.error.HTTPError: pass";
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-c", ASK, &format!("http://127.0.0.1:{port}/")]);
    command
}

pub struct Server<P: Program> {
    program: P,
    folder: TempDir,
    port: u16,
    child: Option<Child>,
}

impl<P: Program> Server<P> {
    pub fn start(program: P) -> Self {
        let folder = tempfile::Builder::new().prefix("shoal-server-").tempdir().expect("a folder can be made");
        program.prepare(folder.path());
        let mut server = Server { program, folder, port: free_port(), child: None };
        server.restart();
        server
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn url(&self, prefix: &str) -> String {
        self.program.url(self.port, prefix)
    }

    /// The same through a proxy that listens there.
    pub fn url_through(&self, port: u16, prefix: &str) -> String {
        self.program.url(port, prefix)
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// SIGKILL: it has no chance to put anything away.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("a child of ours can be killed");
            child.wait().expect("a child of ours can be waited for");
        }
    }

    /// Starts it over the data it had, and waits until it answers.
    pub fn restart(&mut self) {
        self.kill();
        self.child = Some(self.spawn());
        let deadline = Instant::now() + START_TIME_MAX;
        while !self.answers() {
            self.assert_before(deadline);
            // It ends at once while processes of the one that was killed still hold its data, for a moment.
            let child = self.child.as_mut().expect("it was just started");
            if child.try_wait().expect("a child can be asked").is_some() {
                self.child = Some(self.spawn());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Until it answers, after something that has made it stop.
    pub fn wait(&self) {
        let deadline = Instant::now() + START_TIME_MAX;
        while !self.answers() {
            self.assert_before(deadline);
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn assert_before(&self, deadline: Instant) {
        let log = || std::fs::read_to_string(self.log()).unwrap_or_default();
        assert!(Instant::now() < deadline, "no answer after {START_TIME_MAX:?}: {}", log());
    }

    fn spawn(&self) -> Child {
        let (mut command, log) = (guarded(&self.program.command(self.folder.path(), self.port)), self.log());
        let child = apart(move || {
            let log = File::options().create(true).append(true).open(log)?;
            let errors = log.try_clone()?;
            command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn()
        });
        child.unwrap_or_else(|error| panic!("starting {}: {error}", std::any::type_name::<P>()))
    }

    fn answers(&self) -> bool {
        let mut probe = self.program.probe(self.folder.path(), self.port);
        apart(move || probe.stdin(Stdio::null()).output()).is_ok_and(|output| output.status.success())
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

impl<P: Program> Drop for Server<P> {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The path of a program, which Debian may keep outside of PATH. Panics with the package that brings it.
pub(crate) fn find(names: &[&str], package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/bin")]);
    let candidates = folders.flat_map(|folder| names.iter().map(move |name| folder.join(name)));
    candidates.into_iter().find(|candidate| candidate.is_file()).unwrap_or_else(|| {
        panic!("there is no {}: install the package {package} (ci/install does)", names.join(" or "))
    })
}

/// Runs it to its end, which must be a good one.
pub(crate) fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The command as one that the kernel kills when the thread that started it ends.
fn guarded(command: &Command) -> Command {
    let mut guarded = Command::new("setpriv");
    guarded.args(["--pdeathsig", "KILL"]).arg(command.get_program()).args(command.get_args());
    guarded
}

/// Starts programs on a thread that lives as long as this process and shares no open files with it: a new process closes what it
/// has inherited, and to close a file on a mount that waits for this very server would take until it's there.
fn apart<T: Send + 'static>(start: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    type Order = Box<dyn FnOnce() + Send>;
    static ORDERS: LazyLock<SyncSender<Order>> = LazyLock::new(|| {
        let (orders, taken) = mpsc::sync_channel::<Order>(16);
        thread::spawn(move || {
            have_files_of_its_own().expect("the kernel lets a thread have files of its own");
            taken.into_iter().for_each(|order| order());
        });
        orders
    });
    let (result, started) = mpsc::sync_channel(1);
    // Who ordered it waits for it.
    ORDERS.send(Box::new(move || drop(result.send(start())))).expect("the thread lives as long as the process");
    started.recv().expect("the thread carries out every order")
}

/// The calling thread has no open files but the standard ones, and what it opens other threads can't use.
fn have_files_of_its_own() -> io::Result<()> {
    // SAFETY: the thread has been given no descriptor, and none that it opens leaves it.
    unsafe {
        if libc::unshare(libc::CLONE_FILES) != 0 || libc::close_range(3, libc::c_uint::MAX, 0) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Not one of those that the kernel gives to connections: one of these could take it while a server is down, even the very
/// connection that somebody tries to make to that server.
pub(crate) fn free_port() -> u16 {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    loop {
        // Other processes of this run have other places to begin at.
        let number =
            std::process::id().wrapping_mul(PORTS_A_PROCESS).wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed));
        let port = PORTS.start + (number % PORTS.len() as u32) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Below what Linux gives to connections (net.ipv4.ip_local_port_range, by default from 32768), above most known services.
const PORTS: Range<u16> = 12_000..32_000;
const PORTS_A_PROCESS: u32 = 97;
const START_TIME_MAX: Duration = Duration::from_secs(90);
