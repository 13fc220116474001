//! `shoal restore`: puts back what the trash has, where it was or elsewhere.
//!
//! It moves things out of the trash through the mount, with the rights of whoever runs it. Only where something was is
//! asked of the mount.

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::mounted;
use crate::output::{self, count, say};
use rustix::fs::{CWD, Mode, OFlags, RenameFlags, fstat, openat, renameat_with};
use shoal_fuse::control;
use shoal_metadata::TrashName;
use shoal_types::{Ino, Name};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Put back what was removed, from the trash
///
/// PATH is where something was, what it is called in the trash, or an hour of the trash. A directory brings along what was
/// removed from it in the same hour or the one before.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  shoal restore /mnt/photos/2019/cat.jpg
  shoal restore /mnt/photos/.trash/2026-11-26-04/17-4711-2019
  shoal restore --hour 2026-11-26-04 /mnt/photos
  shoal restore --hour 2026-11-26-04 /mnt/photos --to /mnt/photos/found

Prints the new path of each thing that was put back. Nothing that is there is
replaced. Everybody can put back what is theirs, as mv out of the trash does.")]
pub struct Arguments {
    /// What to put back; with --hour any place in the volume [default: the working folder]
    #[arg(value_name = "PATH", required_unless_present = "hour")]
    pub paths: Vec<PathBuf>,
    /// Everything removed in this hour (UTC), as the trash names it
    #[arg(long, value_name = "HOUR")]
    pub hour: Option<String>,
    /// Put it into this directory instead of where it was
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
}

pub fn run(arguments: Arguments) -> Outcome<Exit> {
    let Arguments { paths, hour, to } = arguments;
    let mut chosen = Chosen::default();
    match hour {
        Some(hour) => {
            let places = if paths.is_empty() { vec![PathBuf::from(".")] } else { paths };
            places.iter().try_for_each(|place| choose_hour(&mut chosen, place, &hour))?;
        }
        None => paths.iter().try_for_each(|path| choose(&mut chosen, path))?,
    }
    let to = to.map(|folder| folder.canonicalize().map_err(|error| Failure::of_io(&folder, "looking at it", &error)));
    Ok(Restorer::new(chosen, to.transpose()?).run())
}

/// What is in the trash.
#[derive(Clone, Debug)]
struct Entry {
    mount_point: PathBuf,
    /// The directory of its hour.
    hour: PathBuf,
    in_trash: Name,
    from: Ino,
    ino: Ino,
    /// As much of it as its name in the trash has.
    name: Name,
    is_directory: bool,
}

/// The trash of one mount.
struct Trash {
    mount_point: PathBuf,
    folder: PathBuf,
}

type Chosen = BTreeMap<Ino, Entry>;

struct Restorer {
    chosen: Chosen,
    to: Option<PathBuf>,
    /// Where things are now; `None` for what could not be put back.
    settled: BTreeMap<Ino, Option<PathBuf>>,
    /// Where directories are that things were removed from.
    known: BTreeMap<Ino, PathBuf>,
    exit: Exit,
}

/// The full path of what need not be there, with no symbolic link on the way.
fn full(path: &Path) -> Outcome<PathBuf> {
    let absolute = std::path::absolute(path).map_err(|error| Failure::of_io(path, "finding its full name", &error))?;
    // Of what was removed, the nearest directory above it that is still there.
    for above in absolute.ancestors().skip(1) {
        if let Ok(canonical) = above.canonicalize() {
            let rest = absolute.strip_prefix(above).expect("it is one of its ancestors");
            return Ok(canonical.join(rest));
        }
    }
    Ok(absolute)
}

fn choose_hour(chosen: &mut Chosen, place: &Path, hour: &str) -> Outcome<()> {
    let path = place.canonicalize().map_err(|error| Failure::of_io(place, "looking at it", &error))?;
    let entries = match hour.contains('/') {
        true => Vec::new(),
        false => Trash::around(&path, place)?.hour(OsStr::new(hour))?,
    };
    if entries.is_empty() {
        let cure = "see what there is: ls .trash in the volume's root";
        return Err(Failure::new(Exit::NotFound, hour, "the trash has nothing of that hour for this user", cure));
    }
    add(chosen, entries);
    Ok(())
}

fn choose(chosen: &mut Chosen, given: &Path) -> Outcome<()> {
    let path = full(given)?;
    let trash = Trash::around(&path, given)?;
    let entries = match path.strip_prefix(&trash.folder) {
        Ok(inside) => {
            let parts: Vec<&OsStr> = inside.iter().collect();
            match parts[..] {
                [] => return Err(Failure::usage("name an hour of the trash, or something in one; see: ls .trash")),
                [hour] => trash.hour(hour)?,
                [hour, name] => {
                    let named =
                        trash.hour(hour)?.into_iter().filter(|entry| entry.in_trash.as_bytes() == name.as_bytes());
                    trash.with_content(named.collect())?
                }
                _ => {
                    let cure = "move it with mv, or restore the whole tree";
                    return Err(Failure::new(Exit::Usage, given.display(), "it lies in a tree in the trash", cure));
                }
            }
        }
        Err(_) => trash.with_content(trash.removed_from(&path)?)?,
    };
    if entries.is_empty() {
        return Err(Failure::new(
            Exit::NotFound,
            given.display(),
            "the trash has nothing of that name that this user may see",
            "see what is there: ls .trash/* in the volume's root",
        ));
    }
    add(chosen, entries);
    Ok(())
}

fn add(chosen: &mut Chosen, entries: Vec<Entry>) {
    chosen.extend(entries.into_iter().map(|entry| (entry.ino, entry)));
}

impl Trash {
    fn around(path: &Path, given: &Path) -> Outcome<Self> {
        let Some(mount_point) = mounted::mount_of_ours(path) else {
            let cure = "name something on a mount; see what is mounted: findmnt -t fuse.shoal";
            return Err(Failure::new(Exit::NotFound, given.display(), "no volume is mounted there", cure));
        };
        let folder = mount_point.join(".trash");
        match fs::metadata(&folder) {
            Ok(_) => Ok(Trash { mount_point, folder }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Failure::new(
                Exit::NotFound,
                mount_point.display(),
                "this mount shows no trash: the volume keeps none, or only a part of it is mounted",
                "see shoal config, and mount without --subdir",
            )),
            Err(error) => Err(Failure::of_io(&folder, "looking at it", &error)),
        }
    }

    /// Everything in an hour.
    fn hour(&self, hour: &OsStr) -> Outcome<Vec<Entry>> {
        let folder = self.folder.join(hour);
        let failed = |error: io::Error| Failure::of_io(&folder, "listing it", &error);
        let mut entries = Vec::new();
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Ok(in_trash) = Name::new(entry.file_name().as_bytes()) else { continue };
            let Some((from, ino, name)) = TrashName::parse(&in_trash) else { continue };
            let is_directory = entry.file_type().map_err(failed)?.is_dir();
            let (mount_point, hour) = (self.mount_point.clone(), folder.clone());
            entries.push(Entry { mount_point, hour, in_trash, from, ino, name, is_directory });
        }
        Ok(entries)
    }

    /// The newest first.
    fn hours(&self) -> Outcome<Vec<std::ffi::OsString>> {
        let failed = |error: io::Error| Failure::of_io(&self.folder, "listing it", &error);
        let entries = fs::read_dir(&self.folder).map_err(failed)?;
        let mut hours = entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>().map_err(failed)?;
        hours.sort_unstable_by(|one, other| other.cmp(one));
        Ok(hours)
    }

    /// What was removed last from this path.
    fn removed_from(&self, path: &Path) -> Outcome<Vec<Entry>> {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Ok(Vec::new()) };
        let Ok(directory) = fs::metadata(folder) else {
            return Err(Failure::new(
                Exit::NotFound,
                folder.display(),
                "the directory is gone too",
                "restore that one, or everything of the hour: shoal restore --hour HOUR",
            ));
        };
        let called = |entry: &Entry| match entry.in_trash.as_bytes().len() {
            // Cut; the numbers tell the rest.
            Name::BYTES_MAX => name.as_bytes().starts_with(entry.name.as_bytes()),
            _ => entry.name.as_bytes() == name.as_bytes(),
        };
        for hour in self.hours()? {
            let entries = self.hour(&hour)?.into_iter();
            let found = entries.filter(|entry| entry.from.0 == directory.ino() && called(entry));
            if let Some(newest) = found.max_by_key(Entry::removed) {
                return Ok(vec![newest]);
            }
        }
        Ok(Vec::new())
    }

    /// And what was removed from directories among them, in their hour or the one before.
    fn with_content(&self, mut entries: Vec<Entry>) -> Outcome<Vec<Entry>> {
        if !entries.iter().any(|entry| entry.is_directory) {
            return Ok(entries);
        }
        let hours = self.hours()?;
        let own = hours.iter().position(|hour| entries[0].hour.file_name() == Some(hour));
        let looked_at = own.map_or(&[][..], |own| &hours[own..hours.len().min(own + 2)]);
        let mut below: BTreeMap<Ino, Vec<Entry>> = BTreeMap::new();
        for hour in looked_at {
            for entry in self.hour(hour)? {
                below.entry(entry.from).or_default().push(entry);
            }
        }
        let mut next = 0;
        while let Some(entry) = entries.get(next) {
            let content = below.remove(&entry.ino).unwrap_or_default();
            entries.extend(content);
            next += 1;
        }
        Ok(entries)
    }
}

impl Entry {
    fn path(&self) -> PathBuf {
        self.hour.join(OsStr::from_bytes(self.in_trash.as_bytes()))
    }

    /// When: removing sets the change time.
    fn removed(&self) -> (i64, i64) {
        fs::symlink_metadata(self.path()).map_or((0, 0), |found| (found.ctime(), found.ctime_nsec()))
    }
}

impl Restorer {
    fn new(chosen: Chosen, to: Option<PathBuf>) -> Self {
        Restorer { chosen, to, settled: BTreeMap::new(), known: BTreeMap::new(), exit: Exit::Success }
    }

    fn run(mut self) -> Exit {
        let inodes: Vec<Ino> = self.chosen.keys().copied().collect();
        let restored = inodes.iter().filter(|ino| self.settle(**ino).is_some()).count();
        let left = inodes.len() - restored;
        let restored = count(restored as u64, "thing", "things");
        match left {
            0 => say(format_args!("put back {restored}")),
            left => say(format_args!("put back {restored}; {left} stayed in the trash")),
        }
        self.exit
    }

    /// Where it is now: put back if that has not been tried. Of what can't be, the reason is told once.
    fn settle(&mut self, ino: Ino) -> Option<PathBuf> {
        if let Some(settled) = self.settled.get(&ino) {
            return settled.clone();
        }
        // So that a circle, which names can be made to tell, ends.
        self.settled.insert(ino, None);
        let settled = self.put_back(ino).unwrap_or_else(|failure| {
            say(format_args!("shoal: {failure}"));
            self.exit = failure.exit;
            None
        });
        self.settled.insert(ino, settled.clone());
        settled
    }

    /// And first the directory it was in, if that is to be put back too; `None` if that could not be.
    fn put_back(&mut self, ino: Ino) -> Outcome<Option<PathBuf>> {
        let entry = self.chosen[&ino].clone();
        let directory = match (self.chosen.contains_key(&entry.from), &self.to) {
            (true, _) => match self.settle(entry.from) {
                Some(directory) => directory,
                None => return Ok(None),
            },
            (false, Some(to)) => to.clone(),
            (false, None) => self.origin(&entry)?,
        };
        let target = directory.join(self.name_of(&entry)?);
        let failed = |error: io::Error| explain(&target, &error);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = openat(CWD, &directory, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?;
        // What leads there may have been replaced since, by somebody who would like to have it elsewhere.
        let is_right = fstat(&opened).map_err(|errno| failed(errno.into()))?.st_ino == entry.from.0;
        if !is_right && self.to.as_ref() != Some(&directory) {
            return Err(failed(io::Error::from(io::ErrorKind::NotFound)));
        }
        let name = target.file_name().expect("a name was joined to it");
        renameat_with(CWD, entry.path(), &opened, name, RenameFlags::NOREPLACE)
            .map_err(|errno| failed(errno.into()))?;
        output::print(target.display())?;
        Ok(Some(target))
    }

    /// The directory it was in.
    fn origin(&mut self, entry: &Entry) -> Outcome<PathBuf> {
        if let Some(directory) = self.known.get(&entry.from) {
            return Ok(directory.clone());
        }
        let origin = ask(entry)?;
        let Some(inside) = origin.strip_prefix(b"/") else {
            return Err(Failure::new(
                Exit::NotFound,
                OsStr::from_bytes(&origin).display(),
                format_args!("the directory it was in (inode {}) is gone", entry.from),
                "restore that one with it, or give another: --to DIR",
            ));
        };
        let mut directory = entry.mount_point.join(OsStr::from_bytes(inside));
        directory.pop();
        self.known.insert(entry.from, directory.clone());
        Ok(directory)
    }

    fn name_of(&self, entry: &Entry) -> Outcome<std::ffi::OsString> {
        if entry.in_trash.as_bytes().len() < Name::BYTES_MAX {
            return Ok(OsStr::from_bytes(entry.name.as_bytes()).to_owned());
        }
        let origin = ask(entry)?;
        let name = origin.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        Ok(std::ffi::OsString::from_vec(name.to_vec()))
    }
}

/// The mount knows where it was.
fn ask(entry: &Entry) -> Outcome<Vec<u8>> {
    let path = entry.path();
    let failed = |error: io::Error| Failure::of_io(&path, "asking where it was", &error);
    let hour = File::open(&entry.hour).map_err(failed)?;
    control::trash_origin(&hour, entry.in_trash.as_bytes()).map_err(failed)
}

fn explain(target: &Path, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::new(
            Exit::InUse,
            target.display(),
            "something is there already, and is left alone",
            "move it away, or give another directory: --to DIR",
        ),
        io::ErrorKind::NotFound => Failure::new(
            Exit::NotFound,
            target.display(),
            "its directory is gone",
            "make it again, or give another: --to DIR",
        ),
        io::ErrorKind::CrossesDevices => Failure::new(
            Exit::Other,
            target.display(),
            "it is on another file system, or counted by another quota",
            "name a directory of the same volume, or copy it out of the trash",
        ),
        _ => Failure::of_io(target, "moving it there from the trash", error),
    }
}
