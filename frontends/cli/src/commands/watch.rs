//! `shoal watch`: prints what anybody changes below a path, on whatever mount, as it happens.
//!
//! It reads the change feed, and its session is the reason that there is one: while it lives, all mounts write down what
//! they change. Paths are not in the feed; they are looked up, and remembered.

use crate::clock;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::mounted;
use crate::output::{self, say};
use crate::sessions::{self, Here};
use crate::signals;
use crate::volume::{self, Opened};
use serde::Serialize;
use shoal_client::SESSION_EXPIRY;
use shoal_kv::Durability;
use shoal_metadata::feed::{Change, Event, Follower};
use shoal_metadata::{EndSession, Heartbeat, MetaError, MetaOp, MetaResult, Metadata, RegisterSession, SessionKind};
use shoal_types::{Errno, Ino, Name, SessionId};
use std::collections::HashMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// Print changes made anywhere, as they happen
///
/// Of a folder, what happens to it and to what is directly in it; of a file, what happens to it. Ends with Ctrl-C, or when
/// PATH is removed. Changes are told once they are committed: written bytes when they are stored. Access times are not told,
/// nor what the trash does by itself. Of a file with several names, one of them is shown.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  shoal watch /mnt/photos/2026
  shoal watch /mnt/photos --recursive
  shoal watch /mnt/photos --recursive --json | jq -r 'select(.change == \"created\").path'

--json prints one object a line; names stay, new ones may come:
  change    created, linked, removed, renamed, content, attributes, or missed
            (some were lost: the volume's server was out of reach for long)
  path      within the volume, from its root
  from      of what was renamed: its path before
  inode
  kind      of what was created: file, directory, symlink, fifo, socket, character device,
            block device
  session   who did it, as in `shoal status`")]
pub struct Arguments {
    /// A file or folder of a mounted volume
    pub path: PathBuf,
    /// Also everything below the folders in it
    #[arg(short, long)]
    pub recursive: bool,
    /// For programs
    #[arg(long)]
    pub json: bool,
}

#[derive(Serialize)]
struct Told<'a> {
    change: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inode: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<u64>,
}

pub fn run(arguments: Arguments) -> Outcome<Exit> {
    let (path, state) = mounted::around(&arguments.path)?;
    let Some(state) = state else {
        return Err(Failure::new(
            Exit::NotFound,
            arguments.path.display(),
            "this is not in a mounted volume",
            "name a file or folder below a mount point; see those: findmnt -t fuse.shoal",
        ));
    };
    let opened = volume::open(&state.meta_url)?;
    let root = mounted::inode_of(&path, &state, &opened.metadata)?;
    let failed = |error: MetaError| Failure::of_metadata(path.display(), &error);
    let ended = Arc::new(AtomicBool::new(false));
    let caught = signals::catch(false).and_then(|caught| {
        let ended = ended.clone();
        caught.listen(move |_| ended.store(true, SeqCst))
    });
    let listening = caught.map_err(|error| Failure::of_io(Path::new("signals"), "catching them", &error))?;
    let session = register(&opened.metadata).map_err(failed)?;
    let watched = Watching::new(&opened, root, session, &arguments).and_then(|mut watching| {
        say(format_args!("watching {}", path.display()));
        watching.run(&ended)
    });
    let end = EndSession { session, if_silent_since: None, now: clock::now() };
    sessions::run_to_end(&opened.metadata, &MetaOp::EndSession(end))?;
    drop(listening);
    watched.map_err(failed)?;
    Ok(Exit::Success)
}

fn register(metadata: &Metadata) -> MetaResult<SessionId> {
    let record = Here::look().map_err(|_| Errno::EIO)?.record(SessionKind::Watcher, Path::new(""));
    let register = MetaOp::RegisterSession(RegisterSession { record, now: clock::now() });
    Ok(metadata.run(register, Durability::Visible)?.into_registered()?)
}

struct Watching<'a> {
    opened: &'a Opened,
    session: SessionId,
    follower: Follower,
    paths: Paths<'a>,
    recursive: bool,
    json: bool,
}

impl<'a> Watching<'a> {
    fn new(opened: &'a Opened, root: Ino, session: SessionId, arguments: &Arguments) -> MetaResult<Self> {
        let follower = Follower::at_end(&opened.metadata)?;
        let paths = Paths::new(&opened.metadata, root)?;
        Ok(Watching { opened, session, follower, paths, recursive: arguments.recursive, json: arguments.json })
    }

    /// Until the end, or until nobody reads what is printed.
    fn run(&mut self, ended: &AtomicBool) -> MetaResult<()> {
        let metadata = &self.opened.metadata;
        let mut watch = self.opened.kv.watch_stamped()?;
        let mut heartbeat_at = Instant::now();
        while !ended.load(SeqCst) {
            if Instant::now() >= heartbeat_at {
                heartbeat_at = Instant::now() + SESSION_EXPIRY / 6;
                let beat = Heartbeat { session: self.session, now: clock::now() };
                metadata.run(MetaOp::Heartbeat(beat), Durability::Visible)?;
            }
            let page = self.follower.read(metadata)?;
            if page.missed {
                self.paths.forget();
                let missed = Told { change: "missed", path: None, from: None, inode: None, kind: None, session: None };
                if !self.print(&missed) {
                    return Ok(());
                }
            }
            for event in &page.events {
                if !self.tell(event)? {
                    return Ok(());
                }
            }
            if page.end {
                watch.wait(LOOK_INTERVAL)?;
            }
        }
        Ok(())
    }

    /// `false` when nothing can follow.
    fn tell(&mut self, event: &Event) -> MetaResult<bool> {
        let session = Some(event.session.0);
        let told = |change, path, from: Option<Vec<u8>>, ino: Ino, kind| Told {
            change,
            path: Some(shown(path)),
            from: from.map(shown),
            inode: Some(ino.0),
            kind,
            session,
        };
        let told = match &event.change {
            Change::Joined | Change::Left | Change::Accessed { .. } => return Ok(true),
            Change::Created { parent, name, ino, kind } => {
                let Some(path) = self.paths.add(*parent, name, *ino)? else { return Ok(true) };
                told("created", path, None, *ino, Some(output::kind(*kind)))
            }
            Change::Linked { parent, name, ino } => {
                let Some(path) = self.paths.add(*parent, name, *ino)? else { return Ok(true) };
                told("linked", path, None, *ino, None)
            }
            Change::Removed { parent, name, ino } => {
                let Some(path) = self.paths.remove(*parent, name, *ino)? else { return Ok(true) };
                told("removed", path, None, *ino, None)
            }
            Change::Renamed { old_parent, old_name, new_parent, new_name, ino, .. } => {
                let from = self.paths.entry(*old_parent, old_name)?;
                let to = self.paths.add(*new_parent, new_name, *ino)?;
                self.paths.moved(from.as_deref(), to.as_deref());
                let Some(path) = to else { return Ok(true) };
                told("renamed", path, from, *ino, None)
            }
            Change::Content { ino } => {
                let Some(path) = self.paths.of(*ino)? else { return Ok(true) };
                told("content", path, None, *ino, None)
            }
            Change::Attributes { ino } => {
                let Some(path) = self.paths.of(*ino)? else { return Ok(true) };
                told("attributes", path, None, *ino, None)
            }
        };
        let path = told.path.as_deref().unwrap_or_default().as_bytes();
        let left = told.from.as_deref().is_some_and(|from| self.paths.covers(from.as_bytes(), self.recursive));
        let covered = left || self.paths.covers(path, self.recursive);
        let gone = told.change == "removed" && self.paths.is_root(path);
        Ok((!covered || self.print(&told)) && !gone)
    }

    /// `false` when nobody reads it.
    fn print(&self, told: &Told<'_>) -> bool {
        let text = match self.json {
            true => serde_json::to_string(told).expect("words and numbers can be written"),
            false => match (&told.path, &told.from) {
                (Some(path), Some(from)) => format!("{:<10} {from} -> {path}", told.change),
                (Some(path), None) => format!("{:<10} {path}", told.change),
                (None, _) => told.change.to_string(),
            },
        };
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{text}").and_then(|()| stdout.flush()).is_ok()
    }
}

/// Paths of inodes within the volume, as far as they have been asked for.
struct Paths<'a> {
    metadata: &'a Metadata,
    /// What is watched. Its path is known from the beginning, so that what has gone by the time that it's told has one too.
    root: Ino,
    root_path: Vec<u8>,
    known: HashMap<Ino, Vec<u8>>,
}

impl<'a> Paths<'a> {
    fn new(metadata: &'a Metadata, root: Ino) -> MetaResult<Self> {
        let root_path = metadata.path_of(root)?;
        Ok(Paths { metadata, root, root_path, known: HashMap::new() })
    }

    fn forget(&mut self) {
        self.known.clear();
    }

    /// `None` for one that has no name any more.
    fn of(&mut self, ino: Ino) -> MetaResult<Option<Vec<u8>>> {
        if ino == self.root {
            return Ok(Some(self.root_path.clone()));
        }
        if let Some(path) = self.known.get(&ino) {
            return Ok(Some(path.clone()));
        }
        match self.metadata.path_of(ino) {
            Ok(path) => {
                self.remember(ino, path.clone());
                Ok(Some(path))
            }
            Err(MetaError::Refused(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn add(&mut self, parent: Ino, name: &Name, ino: Ino) -> MetaResult<Option<Vec<u8>>> {
        let path = self.entry(parent, name)?;
        if let Some(path) = &path {
            self.remember(ino, path.clone());
        }
        Ok(path)
    }

    /// What lay below a directory is somewhere else by now, or nowhere.
    fn remove(&mut self, parent: Ino, name: &Name, ino: Ino) -> MetaResult<Option<Vec<u8>>> {
        let path = self.entry(parent, name)?;
        if let Some(path) = &path {
            self.known.retain(|_, known| !is_at_or_below(known, path));
        }
        self.known.remove(&ino);
        Ok(path)
    }

    fn entry(&mut self, parent: Ino, name: &Name) -> MetaResult<Option<Vec<u8>>> {
        let Some(mut path) = self.of(parent)? else { return Ok(None) };
        if path != b"/" {
            path.push(b'/');
        }
        path.extend_from_slice(name.as_bytes());
        Ok(Some(path))
    }

    /// What lay below has moved along, and perhaps the root with it.
    fn moved(&mut self, from: Option<&[u8]>, to: Option<&[u8]>) {
        let (Some(from), Some(to)) = (from, to) else { return self.known.clear() };
        let paths = self.known.values_mut().chain([&mut self.root_path]);
        for path in paths.filter(|path| is_at_or_below(path, from)) {
            *path = [to, &path[from.len()..]].concat();
        }
    }

    fn remember(&mut self, ino: Ino, path: Vec<u8>) {
        if self.known.len() >= KNOWN_MAX {
            self.known.clear();
        }
        self.known.insert(ino, path);
    }

    fn is_root(&self, path: &[u8]) -> bool {
        path == shown(self.root_path.clone()).as_bytes()
    }

    /// Whether this is what was asked for.
    fn covers(&self, path: &[u8], recursive: bool) -> bool {
        let root = shown(self.root_path.clone());
        match below(path, root.as_bytes()) {
            Some(rest) => recursive || !rest.contains(&b'/'),
            None => path == root.as_bytes(),
        }
    }
}

fn is_at_or_below(path: &[u8], above: &[u8]) -> bool {
    path == above || below(path, above).is_some()
}

/// The rest of the path of what lies below another one.
fn below<'p>(path: &'p [u8], above: &[u8]) -> Option<&'p [u8]> {
    let rest = path.strip_prefix(above)?;
    match above {
        b"/" => Some(rest).filter(|rest| !rest.is_empty()),
        _ => rest.strip_prefix(b"/"),
    }
}

fn shown(path: Vec<u8>) -> String {
    String::from_utf8(path).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

const LOOK_INTERVAL: Duration = Duration::from_millis(500);
const KNOWN_MAX: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_below_a_path_is_told_by_whole_names() {
        assert_eq!(below(b"/a/b/c", b"/a"), Some(b"b/c".as_slice()));
        assert_eq!(below(b"/ab", b"/a"), None);
        assert_eq!(below(b"/a", b"/"), Some(b"a".as_slice()));
        assert_eq!(below(b"/", b"/"), None);
        assert!(is_at_or_below(b"/a", b"/a") && !is_at_or_below(b"/ab", b"/a"));
    }
}
