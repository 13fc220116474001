//! Opening and closing.

use super::permissions::{READ, SEARCH, WRITE};
use super::walk::{Last, Walked};
use super::{Description, Expected, Kernel};
use crate::histories::answer::Answer;
use crate::histories::call::{Place, Slot, User};
use rustix::fs::OFlags;
use shoal_types::{Errno, FileKind, FsResult, Ino, Name};

impl Kernel {
    pub fn open(&mut self, who: &User, slot: Slot, place: &Place, flags: OFlags, mode: u16) -> Expected {
        match self.find_or_make(who, place, flags, mode) {
            Ok(ino) => {
                let special = !matches!(self.kind(ino), FileKind::Regular | FileKind::Directory);
                if special && !flags.contains(OFlags::PATH) {
                    // What is behind it is not the file system's.
                    return Expected::Unjudged;
                }
                self.describe_open(slot, ino, flags);
                Expected::Answer(Ok(Answer::Done))
            }
            Err(error) => Expected::Answer(Err(error)),
        }
    }

    fn describe_open(&mut self, slot: Slot, ino: Ino, flags: OFlags) {
        let (read, write) = access(flags);
        let path_only = flags.contains(OFlags::PATH);
        let (append, direct) = (flags.contains(OFlags::APPEND), flags.contains(OFlags::DIRECT));
        // One made without a name is open since then.
        if !flags.contains(OFlags::TMPFILE) || path_only {
            self.oracle.open(ino).expect("it's there");
        }
        let quiet = !write && !self.locked.contains(&ino);
        let id = self.next_description;
        self.next_description += 1;
        let new = Description { ino, read, write, append, path_only, direct, quiet, position: 0 };
        self.descriptions.insert(id, new);
        self.slots.insert(slot, id);
    }

    /// The checks of open(2) up to the point where there is a file.
    fn find_or_make(&mut self, who: &User, place: &Place, flags: OFlags, mode: u16) -> FsResult<Ino> {
        if flags.contains(OFlags::PATH) {
            let follow = !flags.contains(OFlags::NOFOLLOW);
            let ino = self.resolve(who, place, follow)?;
            let fits = self.is_directory(ino) || !flags.contains(OFlags::DIRECTORY);
            return if fits { Ok(ino) } else { Err(Errno::ENOTDIR) };
        }
        if flags.contains(OFlags::TMPFILE) {
            return self.make_nameless(who, place, flags, mode);
        }
        if flags.contains(OFlags::CREATE | OFlags::DIRECTORY) {
            return Err(Errno::EINVAL);
        }
        let mut walked = self.walk(who, place)?;
        let mut links = 0;
        let slash_at_first = walked.slash;
        loop {
            let Walked { directory, last, slash } = &walked;
            let (directory, create) = (*directory, flags.contains(OFlags::CREATE));
            let Last::Name(name) = last else {
                let ino = self.step(directory, last)?;
                return match create {
                    true if flags.contains(OFlags::EXCL) => Err(Errno::EEXIST),
                    true => Err(Errno::EISDIR),
                    false => self.may_open(who, ino, flags).map(|()| ino),
                };
            };
            if create && *slash {
                return Err(Errno::EISDIR);
            }
            let found = match self.lookup(directory, name) {
                Ok(found) => found,
                Err(Errno::ENOENT) if create && !self.is_removed(directory) => {
                    let name = Name::new(name)?;
                    return self.make_file(who, directory, &name, mode);
                }
                Err(error) => return Err(error),
            };
            let exclusive = create && flags.contains(OFlags::EXCL);
            let follow = !flags.contains(OFlags::NOFOLLOW) && !exclusive || *slash;
            if follow && self.kind(found) == FileKind::Symlink {
                walked = self.walk_link(who, directory, found, &mut links)?;
                walked.slash |= slash_at_first;
                continue;
            }
            if exclusive {
                return Err(Errno::EEXIST);
            }
            if create && self.is_directory(found) {
                return Err(Errno::EISDIR);
            }
            if create {
                self.may_take_over(who, directory, found)?;
            }
            if *slash && !self.is_directory(found) {
                return Err(Errno::ENOTDIR);
            }
            self.may_open(who, found, flags)?;
            if flags.contains(OFlags::TRUNC) && self.kind(found) == FileKind::Regular {
                self.take_privileges(who, found);
                self.oracle.truncate(found, 0, self.now())?;
            }
            return Ok(found);
        }
    }

    fn may_open(&self, who: &User, ino: Ino, flags: OFlags) -> FsResult<()> {
        let kind = self.kind(ino);
        if flags.contains(OFlags::DIRECTORY) && kind != FileKind::Directory {
            return Err(Errno::ENOTDIR);
        }
        let (read, write) = access(flags);
        let write = write || flags.contains(OFlags::TRUNC);
        match kind {
            FileKind::Symlink => return Err(Errno::ELOOP),
            FileKind::Directory if write => return Err(Errno::EISDIR),
            _ => {}
        }
        self.permit(who, ino, if read { READ } else { 0 } | if write { WRITE } else { 0 })?;
        if flags.contains(OFlags::NOATIME) && !self.owns(who, ino) {
            return Err(Errno::EPERM);
        }
        let direct = flags.contains(OFlags::DIRECT) && kind == FileKind::Directory;
        if direct { Err(Errno::EINVAL) } else { Ok(()) }
    }

    /// `protected_regular`, `protected_fifos`: what others left in a sticky directory is not taken for one's own.
    fn may_take_over(&self, who: &User, directory: Ino, found: Ino) -> FsResult<()> {
        let (around, found) = (self.attributes(directory), self.attributes(found));
        let level = match found.kind {
            FileKind::Regular => self.protections.regular,
            FileKind::Fifo => self.protections.fifos,
            // Links that are not followed, devices, sockets.
            _ => 1,
        };
        let open_to_all = around.mode & 0o002 != 0 || around.mode & 0o020 != 0 && level > 1;
        let strange = found.uid != around.uid && found.uid != who.uid;
        let refused = level > 0 && self.is_sticky(directory) && strange && open_to_all;
        if refused { Err(Errno::EACCES) } else { Ok(()) }
    }

    fn make_file(&mut self, who: &User, directory: Ino, name: &Name, mode: u16) -> FsResult<Ino> {
        self.permit(who, directory, WRITE | SEARCH)?;
        let mode = self.new_mode(who, directory, mode);
        let new = self.node(who, mode);
        Ok(self.oracle.create(directory, name, new, self.now())?.ino)
    }

    fn make_nameless(&mut self, who: &User, place: &Place, flags: OFlags, mode: u16) -> FsResult<Ino> {
        if !access(flags).1 {
            return Err(Errno::EINVAL);
        }
        let directory = self.resolve(who, place, !flags.contains(OFlags::NOFOLLOW))?;
        if !self.is_directory(directory) {
            return Err(Errno::ENOTDIR);
        }
        self.permit(who, directory, WRITE | SEARCH)?;
        let mode = self.new_mode(who, directory, mode);
        let new = self.node(who, mode);
        let ino = self.oracle.create_nameless(directory, new, self.now())?.ino;
        if flags.contains(OFlags::EXCL) {
            self.never_to_be_named.insert(ino);
        }
        Ok(ino)
    }

    /// Record locks of the process go with any descriptor of the file, all others with the last of the description.
    pub fn close(&mut self, process: u8, slot: Slot) -> FsResult<Answer> {
        let id = self.slots.remove(&slot).expect("histories close what is open");
        let description = self.descriptions[&id];
        if !description.path_only {
            self.unlock_process(process, description.ino);
        }
        if self.slots.values().all(|other| *other != id) {
            self.release_description(id);
            self.descriptions.remove(&id);
            self.oracle.close(description.ino).expect("it was open");
        }
        Ok(Answer::Done)
    }
}

/// Reading, writing.
fn access(flags: OFlags) -> (bool, bool) {
    match flags & OFlags::RWMODE {
        OFlags::WRONLY => (false, true),
        OFlags::RDWR => (true, true),
        _ => (true, false),
    }
}
