//! `shoal dump`: a volume's metadata at one moment, as one stream of bytes.

use crate::dumping;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::key_source::KeyArguments;
use crate::meta_url::MetaUrl;
use crate::output::{count, say};
use crate::progress::Progress;
use crate::size::ByteCount;
use crate::volume::{self, Opened};
use shoal_metadata_dump::{DumpError, Totals};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Write a volume's metadata to a file
///
/// All names, attributes, small files and file maps as they are at one moment, also while the volume is in use. What files
/// hold in objects is not part of it. Restore it with shoal load.
///
/// Of an encrypted volume, what files hold stays encrypted, and names are in the clear; with what opens its key, all of the
/// dump is encrypted, and shoal load wants the same.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  shoal dump sqlite:///srv/photos.db photos.dump
  shoal dump redis://db.example/0 - | ssh backup 'cat > photos.dump'
  shoal dump sqlite:///srv/photos.db photos.dump --key-file /etc/shoal/photos.key   # encrypted")]
pub struct Arguments {
    /// The volume's metadata, for example sqlite:///srv/volume.db
    pub meta_url: String,
    /// Where the dump goes: a file that is not there yet, or - for standard output
    pub file: PathBuf,
    #[command(flatten)]
    pub key: KeyArguments,
}

pub fn run(arguments: Arguments) -> Outcome<Exit> {
    let url: MetaUrl = arguments.meta_url.parse()?;
    let opened = match arguments.key.source()? {
        Some(source) => volume::open_unlocked(&url, Some(&source))?,
        None => volume::open(&url)?,
    };
    let (totals, written) = match arguments.file.as_os_str() == "-" {
        true => to_stdout(&url, &opened)?,
        false => to_file(&url, &opened, &arguments.file)?,
    };
    let records = count(totals.pairs, "record", "records");
    say(format_args!("dumped the volume {}: {records}, {}", opened.settings.name, ByteCount(written)));
    Ok(Exit::Success)
}

fn to_stdout(url: &MetaUrl, opened: &Opened) -> Outcome<(Totals, u64)> {
    let stdout = io::stdout();
    if stdout.is_terminal() {
        return Err(Failure::usage("a dump is not for people to read; name a file, or pipe it into a program"));
    }
    write(url, opened, Path::new("/dev/stdout"), stdout.lock()).map(|(totals, written, _)| (totals, written))
}

/// On the disk when it returns. What could not be written to its end is taken away again.
fn to_file(url: &MetaUrl, opened: &Opened, path: &Path) -> Outcome<(Totals, u64)> {
    // It holds names and small files.
    let file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(Failure::new(Exit::InUse, path.display(), "it is there already", "name another file"));
        }
        Err(error) => return Err(Failure::of_io(path, "making the dump", &error)),
    };
    let dumped = write(url, opened, path, file).and_then(|(totals, written, file)| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let synced = file.sync_all().and_then(|()| File::open(folder)?.sync_all());
        synced.map_err(|error| Failure::of_io(path, "storing the dump", &error))?;
        Ok((totals, written))
    });
    if dumped.is_err() {
        // The failure is what matters; a dump without its end is refused anyway.
        let _ = fs::remove_file(path);
    }
    dumped
}

fn write<W: Write>(url: &MetaUrl, opened: &Opened, path: &Path, out: W) -> Outcome<(Totals, u64, W)> {
    let progress = Progress::count("dumping records");
    let out = Counting { out: BufWriter::with_capacity(BUFFER_BYTES, out), written: 0 };
    let sealer = opened.sealer.as_ref();
    let (totals, out) = dumping::write(opened.kv.as_ref(), &opened.settings, sealer, out, &mut |pairs| {
        progress.set(pairs);
    })
    .map_err(|error| match error {
        DumpError::Store(error) => Failure::of_store(url, &error),
        DumpError::Output(error) => Failure::of_io(path, "writing the dump", &error),
    })?;
    let written = out.written;
    // It has been flushed.
    let (out, _) = out.out.into_parts();
    Ok((totals, written, out))
}

struct Counting<W: Write> {
    out: BufWriter<W>,
    written: u64,
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

const BUFFER_BYTES: usize = 256 << 10;
