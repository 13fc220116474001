//! `shoal load`: a dump becomes a volume again, in a store that is empty.

use crate::clock;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::key_source::{KeyArguments, KeySource};
use crate::loading::Target;
use crate::meta_url::MetaUrl;
use crate::output::{count, say};
use shoal_kv::KvError;
use shoal_metadata_dump::sealed::{self, SealedHeader};
use shoal_metadata_dump::{DumpReader, Numbers};
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

/// Make a volume of a dump
///
/// The store must be empty. Until the load has ended there is no volume in it, and nothing can mount it. What the dump tells
/// of files that were open, and of locks, is over.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  shoal load photos.dump sqlite:///srv/photos.db
  ssh backup cat photos.dump | shoal load - postgres://me@db.example/shoal
  shoal load --restart photos.dump redis://db.example/0    # after one that was interrupted
  shoal load /srv/objects/8b0c…/metadata/20261126T080000Z sqlite:///srv/photos.db   # a backup, see --backup-meta
  shoal load photos.dump sqlite:///srv/photos.db --key-file /etc/shoal/photos.key   # one that is encrypted

It is the volume that was dumped, with the same objects: use one of the two, never
both. Objects that were deleted since the dump are lost to it: shoal fsck tells.")]
pub struct Arguments {
    /// The dump: a file, what the names of its parts begin with, or - for standard input
    pub file: PathBuf,
    /// The metadata of the volume to be, for example sqlite:///srv/volume.db
    pub meta_url: String,
    /// Remove what a load that was interrupted has left there, and begin anew
    #[arg(long)]
    pub restart: bool,
    #[command(flatten)]
    pub key: KeyArguments,
}

pub fn run(arguments: Arguments) -> Outcome<Exit> {
    let url: MetaUrl = arguments.meta_url.parse()?;
    let source = match arguments.file.as_os_str() == "-" {
        true => "standard input".to_string(),
        false => arguments.file.display().to_string(),
    };
    let key = arguments.key.source()?;
    let input = unsealed(&source, BufReader::with_capacity(BUFFER_BYTES, open(&arguments.file)?), key.as_ref())?;
    let mut reader = DumpReader::open(input).map_err(|error| no_dump(&source, &error))?;
    let made_at = clock::date(reader.header().made_at);
    let mut target = Target::claim(&url, arguments.restart)?;
    let pairs = target.fill(&source, &mut reader)?;
    let settings = target.finish(&source, Numbers::Skip)?;
    let records = count(pairs, "record", "records");
    say(format_args!("loaded the volume {} as of {made_at} into {url}: {records}", settings.name));
    say(format_args!("  objects  {}", settings.storage));
    if let Some(warning) = url.durability_warning()? {
        say(format_args!("  warning: {warning}"));
    }
    say(format_args!("look at it first:  shoal fsck {url}"));
    Ok(Exit::Success)
}

/// The bytes of the dump, whether it's sealed or not.
fn unsealed<'a>(
    name: &str,
    input: impl Read + Send + 'a,
    key: Option<&KeySource>,
) -> Outcome<Box<dyn Read + Send + 'a>> {
    let read = sealed::is_sealed(input);
    let (is_sealed, mut input) = read.map_err(|error| Failure::of_io(Path::new(name), "reading the dump", &error))?;
    if !is_sealed {
        return match key {
            None => Ok(Box::new(input)),
            Some(key) => Err(Failure::new(Exit::Usage, key, format_args!("{name} is not encrypted"), "leave it out")),
        };
    }
    let header = SealedHeader::read(&mut input).map_err(|error| no_dump(name, &error))?;
    let Some(key) = key else {
        let cure = format!("give what opened the volume's key when it was made, {}", header.key.kind());
        return Err(Failure::new(Exit::Permission, name, "the dump is encrypted", cure));
    };
    let sealer = header.sealer(&key.open(&header.uuid, &header.key)?);
    Ok(Box::new(header.open(&sealer, input)))
}

fn no_dump(source: &str, error: &KvError) -> Failure {
    let Failure { exit, .. } = Failure::of_store(source, error);
    let cure = match error.to_string().contains("newer") {
        true => "install a newer shoal",
        false => "name a dump that shoal dump has made",
    };
    Failure::new(exit, source, error, cure)
}

fn open(path: &Path) -> Outcome<Box<dyn Read + Send>> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(io::stdin()));
    }
    let failed = |error| Failure::of_io(path, "opening the dump", &error);
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => match Parts::of(path).map_err(failed)? {
            Some(parts) => Ok(Box::new(parts)),
            None => Err(failed(error)),
        },
        file => Ok(Box::new(file.map_err(failed)?)),
    }
}

/// The files whose names begin with `PATH-`, in the order of their names, one after the other: a backup that a mount has made.
struct Parts {
    left: std::vec::IntoIter<PathBuf>,
    current: Option<File>,
}

impl Parts {
    fn of(path: &Path) -> io::Result<Option<Self>> {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Ok(None) };
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let prefix = [name.as_encoded_bytes(), b"-"].concat();
        let mut paths = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_name().as_encoded_bytes().starts_with(&prefix) {
                paths.push(entry.path());
            }
        }
        paths.sort();
        Ok((!paths.is_empty()).then(|| Parts { left: paths.into_iter(), current: None }))
    }
}

impl Read for Parts {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(file) = &mut self.current {
                match file.read(bytes)? {
                    0 if !bytes.is_empty() => self.current = None,
                    read => return Ok(read),
                }
            }
            match self.left.next() {
                Some(path) => self.current = Some(File::open(path)?),
                None => return Ok(0),
            }
        }
    }
}

const BUFFER_BYTES: usize = 256 << 10;
