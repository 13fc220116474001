//! Logs by `tracing`, to standard error or to a file. Standard output is for data only.

use crate::failure::{Failure, Outcome};
use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Mutex;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

/// `level` is a word such as `debug`, or `tracing` directives such as `info,shoal_fuse=trace`.
pub fn start(level: &str, file: Option<File>) -> Outcome<()> {
    let filter = EnvFilter::try_new(level).map_err(|error| {
        Failure::usage(format_args!(
            "--log-level {level}: {error}; write error, warn, info, debug or trace, or a list such as info,shoal_fuse=trace"
        ))
    })?;
    let colours = file.is_none() && std::io::IsTerminal::is_terminal(&std::io::stderr());
    let writer = match file {
        Some(file) => BoxMakeWriter::new(Mutex::new(file)),
        None => BoxMakeWriter::new(std::io::stderr),
    };
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(colours).init();
    Ok(())
}

/// Opens a log for adding to it, and makes the folder it lies in.
pub fn open_file(path: &Path) -> Outcome<File> {
    let failed = |error| Failure::of_io(path, "opening the log (name another one with --log-file)", &error);
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(folder).map_err(failed)?;
    }
    OpenOptions::new().append(true).create(true).mode(0o640).open(path).map_err(failed)
}
