//! `shoal-fdb-standin --port PORT --log FILE [--not-committed SHARE] …`: the server of the stand-in for FoundationDB.
//!
//! `--probe PORT` instead ends well if a server listens there.

use shoal_ci_fdb_standin::server::{Faults, serve};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("shoal-fdb-standin: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let (mut port, mut log, mut faults) = (0, None, Faults::default());
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        let share = || value.parse().map_err(|error| format!("{name} {value}: {error}"));
        let number = || value.parse().map_err(|error| format!("{name} {value}: {error}"));
        match name.as_str() {
            "--probe" => {
                return TcpStream::connect(("127.0.0.1", number()?)).map(drop).map_err(|error| error.to_string());
            }
            "--port" => port = number()?,
            "--log" => log = Some(value.clone()),
            "--not-committed" => faults.not_committed = share()?,
            "--unknown-committed" => faults.unknown_committed = share()?,
            "--unknown-not-committed" => faults.unknown_not_committed = share()?,
            "--too-old" => faults.too_old = share()?,
            "--process-behind" => faults.process_behind = share()?,
            _ => return Err(format!("there is no {name}")),
        }
    }
    let log = log.ok_or("--log is missing")?;
    let listener = TcpListener::bind(("127.0.0.1", port)).map_err(|error| format!("port {port}: {error}"))?;
    serve(&listener, Path::new(&log), faults).map_err(|error| format!("{log}: {error}"))
}
