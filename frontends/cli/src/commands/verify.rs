//! `shoal verify`: reads everything that files of a mounted volume are made of, and checks every byte.

use crate::bucket::{self, Needs};
use crate::checked::Checked;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::key_source::KeyArguments;
use crate::meta_url::MetaUrl;
use crate::mounted;
use crate::output::{count, say};
use crate::progress::Progress;
use crate::storage::Storage;
use crate::volume;
use shoal_metadata::{MetaError, Metadata};
use shoal_types::{Errno, FileKind, Ino};
use std::path::{Path, PathBuf};

/// Read all bytes of files and trees, and verify their checksums
///
/// It reads what is stored, not what is cached; the mount goes on. Bytes that a program has written and that are still in a
/// mount's buffer are not looked at.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  shoal verify /mnt/photos/2026
  shoal verify /mnt/photos/2026/sea.jpg --key-file /root/photos.key    # of an encrypted volume
  shoal verify --all sqlite:///srv/photos.db

Each finding is one line on standard output, with the path of the file that is
concerned; how much was read, and how fast, is told on standard error.
Exit code 0: no findings, 1: some.")]
pub struct Arguments {
    /// Files and directories of one mounted volume
    #[arg(value_name = "PATH", required_unless_present = "all", conflicts_with = "all")]
    pub paths: Vec<PathBuf>,
    /// The whole volume, also what no name leads to any more
    #[arg(long, value_name = "META-URL|MOUNTPOINT")]
    pub all: Option<String>,
    #[command(flatten)]
    pub key: KeyArguments,
}

pub fn run(arguments: Arguments) -> Outcome<Exit> {
    let key = arguments.key.source()?;
    let url = volume_of(&arguments)?;
    let opened = volume::open_unlocked(&url, key.as_ref())?;
    let blind = opened.without_key();
    let objects = Storage::of(&opened)?.open()?;
    let needs = match arguments.all {
        Some(_) => Needs::of_volume(&blind)?,
        None => Needs::of_files(&blind, &files(&blind, &arguments.paths)?)?,
    };
    let checked = Checked::read(&opened, &objects, &needs)?;
    let findings = bucket::tell(&blind, &checked.losses)?;
    say(&checked);
    match findings {
        0 => say("all of it is as it was written"),
        _ => say(count(findings, "finding", "findings")),
    }
    Ok(if findings == 0 { Exit::Success } else { Exit::Findings })
}

fn volume_of(arguments: &Arguments) -> Outcome<MetaUrl> {
    if let Some(volume) = &arguments.all {
        return mounted::url_of(volume);
    }
    let mut urls = arguments.paths.iter().map(|path| Ok((path, mounted::within(path)?.1.meta_url)));
    let (_, first) = urls.next().expect("a path is required")?;
    for other in urls {
        let (path, url) = other?;
        if url != first {
            let path = path.display();
            return Err(Failure::usage(format_args!("{path}: this is in another volume; verify one after the other")));
        }
    }
    Ok(first)
}

/// The regular files in these trees, each once.
fn files(volume: &Metadata, paths: &[PathBuf]) -> Outcome<Vec<Ino>> {
    let progress = Progress::count("looking for files");
    let (mut files, mut directories) = (Vec::new(), Vec::new());
    for path in paths {
        let ino = inode_of(volume, path)?;
        match volume.get_attributes(ino).map_err(|error| Failure::of_metadata(path.display(), &error))?.kind {
            FileKind::Regular => files.push(ino),
            FileKind::Directory => directories.push(ino),
            _ => {}
        }
    }
    while let Some(directory) = directories.pop() {
        let mut cookie = 0;
        loop {
            let page = match volume.read_directory(directory, cookie, ENTRIES_AT_ONCE, false) {
                // Removed since its name was read.
                Err(MetaError::Refused(Errno::ENOENT)) => break,
                page => page.map_err(|error| Failure::of_metadata(format_args!("inode {directory}"), &error))?,
            };
            for entry in &page.entries {
                match entry.kind {
                    FileKind::Regular => files.push(entry.ino),
                    FileKind::Directory => directories.push(entry.ino),
                    _ => {}
                }
            }
            progress.set(files.len() as u64);
            match page.entries.last() {
                Some(last) if !page.end => cookie = last.cookie,
                _ => break,
            }
        }
    }
    files.sort_unstable();
    files.dedup();
    Ok(files)
}

fn inode_of(volume: &Metadata, path: &Path) -> Outcome<Ino> {
    let (full, state) = mounted::within(path)?;
    mounted::inode_of(&full, &state, volume)
}

const ENTRIES_AT_ONCE: usize = 1000;
