//! `shoal-null`: a file system in memory behind the same protocol, transport, session loop and threads as the real one.
//!
//! It is the floor of what FUSE costs on a machine: what the real file system takes beyond it is its own doing. It
//! keeps nothing when it ends.

mod inode;
mod service;
mod tree;

use clap::Parser;
use service::NullService;
use shoal_fuse::{MountOptions, Mounted, RingUse, mount};
use shoal_runtime::{ShardThreads, shard_threads};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tree::Tree;

/// Mounts an empty file system that lives in memory. It ends, and unmounts, on SIGTERM.
#[derive(Parser)]
#[command(name = "shoal-null", version)]
struct Arguments {
    mount_point: PathBuf,
    /// Threads that serve requests [default: one a core]
    #[arg(long, value_name = "N")]
    shards: Option<usize>,
    /// Seconds for which the kernel may answer names and attributes from memory
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    attr_timeout: f64,
    /// Carry requests through io_uring instead of /dev/fuse
    #[arg(long)]
    io_uring: bool,
    /// Stay attached instead of returning once mounted
    #[arg(long)]
    foreground: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let result = if arguments.foreground { run(&arguments) } else { detach() };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&*error);
            ExitCode::FAILURE
        }
    }
}

fn report(error: &dyn Error) {
    eprint!("shoal-null: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprint!(": {error}");
        cause = error.source();
    }
    eprintln!();
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let shards = arguments.shards.unwrap_or(cores).max(1);
    let validity = Duration::try_from_secs_f64(arguments.attr_timeout)?;
    // Before the mount, so that no signal can end the process with the mount left behind.
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let rings = if arguments.io_uring { RingUse::Always } else { RingUse::Never };
    let options = MountOptions { allow_other: may_allow_other(), rings, ..MountOptions::new("null") };
    let mounted = Arc::new(mount(&arguments.mount_point, &options)?);
    let threads = start_shards(&mounted, shards, validity)?;

    let mut stdout = std::io::stdout();
    writeln!(stdout, "mounted on {} with {shards} shards", mounted.mount_point().display())?;
    stdout.flush()?;

    let handle = signals.handle();
    let unmounter = std::thread::spawn({
        let mounted = mounted.clone();
        move || {
            let mut asked = signals.forever();
            if asked.next().is_none() {
                return;
            }
            if let Err(error) = mounted.unmount(true) {
                report(&error);
            }
            // Files that are still open keep the mount alive; who asks again does not want to wait for them.
            if asked.next().is_some() {
                std::process::exit(1);
            }
        }
    });
    threads.join();
    mounted.ended();
    handle.close();
    unmounter.join().map_err(|_| "the signal thread panicked")?;
    Ok(())
}

fn start_shards(mounted: &Mounted, shards: usize, validity: Duration) -> Result<ShardThreads, Box<dyn Error>> {
    let tree = Arc::new(Tree::new(rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()));
    let connections = mounted.connections(shards)?.into_iter();
    let connections: Vec<_> = connections.map(|connection| Mutex::new(Some(connection))).collect();
    let interrupts = mounted.interrupts();
    let threads = shard_threads(shards, true, move |shard| {
        let connection = connections[shard].lock().expect("locked once a shard").take();
        let connection = connection.expect("one connection a shard");
        let service = Rc::new(NullService { tree: tree.clone(), validity });
        let interrupts = interrupts.clone();
        async move {
            if let Err(error) = connection.serve(service, interrupts).await {
                report(&error);
            }
        }
    })?;
    Ok(threads)
}

/// Root may always; a user only where the machine says so.
fn may_allow_other() -> bool {
    rustix::process::geteuid().is_root()
}

/// Starts this program again in the foreground of a process group of its own, and waits until it has mounted.
fn detach() -> Result<(), Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(std::env::args_os().skip(1)).arg("--foreground").process_group(0);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("its output is piped")).read_line(&mut line)?;
    if line.is_empty() {
        child.wait()?;
        return Err("it ended before it had mounted".into());
    }
    print!("{line}");
    Ok(())
}
