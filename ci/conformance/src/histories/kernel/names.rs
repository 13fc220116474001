//! Names given, taken and changed.

use super::Kernel;
use super::permissions::{READ, SEARCH, SETGID, SETUID, WRITE};
use super::walk::{Last, Walked};
use crate::histories::answer::Answer;
use crate::histories::call::{Place, Slot, Text, User};
use rustix::fs::RenameFlags as Flags;
use shoal_oracle::{NewNode, RenameFlags};
use shoal_types::{Errno, FileKind, FsResult, Ino, Name, Whiteout};

impl Kernel {
    /// A free name and the directory it's for. Who may write there is asked later.
    fn new_name(&self, who: &User, place: &Place, for_directory: bool) -> FsResult<(Ino, Name)> {
        let Walked { directory, last, slash } = self.walk(who, place)?;
        let Last::Name(name) = last else { return Err(Errno::EEXIST) };
        match self.lookup(directory, &name) {
            Ok(_) => Err(Errno::EEXIST),
            Err(Errno::ENOENT) if slash && !for_directory => Err(Errno::ENOENT),
            Err(Errno::ENOENT) if self.is_removed(directory) => Err(Errno::ENOENT),
            Err(Errno::ENOENT) => Ok((directory, Name::new(&name)?)),
            Err(error) => Err(error),
        }
    }

    pub fn is_removed(&self, ino: Ino) -> bool {
        self.attributes(ino).nlink == 0
    }

    pub fn node(&mut self, who: &User, mode: u16) -> NewNode {
        NewNode { ino: self.new_ino(), mode, umask: who.umask, uid: who.uid, gid: who.gid }
    }

    pub fn make_node(&mut self, who: &User, place: &Place, kind: FileKind, mode: u16, device: u32) -> FsResult<Answer> {
        if kind == FileKind::Directory {
            return Err(Errno::EPERM);
        }
        let (directory, name) = self.new_name(who, place, false)?;
        self.permit(who, directory, WRITE | SEARCH)?;
        let is_device = matches!(kind, FileKind::CharDevice | FileKind::BlockDevice);
        let is_whiteout = kind == FileKind::CharDevice && device == 0;
        if is_device && !is_whiteout && who.uid != 0 {
            return Err(Errno::EPERM);
        }
        let mode = self.new_mode(who, directory, mode);
        let new = self.node(who, mode);
        self.oracle.mknod(directory, &name, new, kind, device, self.now())?;
        Ok(Answer::Done)
    }

    pub fn make_directory(&mut self, who: &User, place: &Place, mode: u16) -> FsResult<Answer> {
        let (directory, name) = self.new_name(who, place, true)?;
        self.permit(who, directory, WRITE | SEARCH)?;
        let new = self.node(who, mode & 0o1777);
        self.oracle.mkdir(directory, &name, new, self.now())?;
        Ok(Answer::Done)
    }

    pub fn symlink(&mut self, who: &User, target: &[u8], place: &Place) -> FsResult<Answer> {
        if target.is_empty() {
            return Err(Errno::ENOENT);
        }
        let (directory, name) = self.new_name(who, place, false)?;
        self.permit(who, directory, WRITE | SEARCH)?;
        let new = self.node(who, 0o777);
        self.oracle.symlink(directory, &name, new, target, self.now())?;
        Ok(Answer::Done)
    }

    pub fn read_link(&self, who: &User, place: &Place) -> FsResult<Answer> {
        Ok(Answer::Bytes(Text(self.oracle.read_link(self.resolve(who, place, false)?)?)))
    }

    pub fn link(&mut self, who: &User, from: &Place, to: &Place, follow: bool) -> FsResult<Answer> {
        let source = self.resolve(who, from, follow)?;
        self.give_name(who, source, to)
    }

    pub fn link_open(&mut self, who: &User, slot: Slot, to: &Place) -> FsResult<Answer> {
        self.give_name(who, self.description(slot).ino, to)
    }

    fn give_name(&mut self, who: &User, source: Ino, to: &Place) -> FsResult<Answer> {
        let (directory, name) = self.new_name(who, to, false)?;
        if self.protections.hardlinks > 0 && !self.owns(who, source) && !self.is_harmless(who, source) {
            return Err(Errno::EPERM);
        }
        self.permit(who, directory, WRITE | SEARCH)?;
        if self.is_directory(source) {
            return Err(Errno::EPERM);
        }
        if self.never_to_be_named.contains(&source) {
            return Err(Errno::ENOENT);
        }
        self.oracle.link(source, directory, &name, self.now())?;
        Ok(Answer::Done)
    }

    /// Who may read and write a file could as well have a copy of it.
    fn is_harmless(&self, who: &User, ino: Ino) -> bool {
        let attributes = self.attributes(ino);
        let runs_for_a_group = attributes.mode & (SETGID | 0o010) == SETGID | 0o010;
        attributes.kind == FileKind::Regular
            && attributes.mode & SETUID == 0
            && !runs_for_a_group
            && self.permit(who, ino, READ | WRITE).is_ok()
    }

    pub fn remove(&mut self, who: &User, place: &Place) -> FsResult<Answer> {
        let Walked { directory, last, slash } = self.walk(who, place)?;
        let Last::Name(name) = last else { return Err(Errno::EISDIR) };
        let victim = self.lookup(directory, &name)?;
        if slash {
            return Err(if self.is_directory(victim) { Errno::EISDIR } else { Errno::ENOTDIR });
        }
        self.may_delete(who, directory, victim, false)?;
        self.oracle.unlink(directory, &Name::new(&name)?, self.now())?;
        Ok(Answer::Done)
    }

    pub fn remove_directory(&mut self, who: &User, place: &Place) -> FsResult<Answer> {
        let Walked { directory, last, .. } = self.walk(who, place)?;
        let name = match last {
            Last::Dot => return Err(Errno::EINVAL),
            Last::DotDot => return Err(Errno::ENOTEMPTY),
            Last::Name(name) => name,
        };
        let victim = self.lookup(directory, &name)?;
        self.may_delete(who, directory, victim, true)?;
        self.oracle.rmdir(directory, &Name::new(&name)?, self.now())?;
        Ok(Answer::Done)
    }

    fn may_delete(&self, who: &User, directory: Ino, victim: Ino, as_directory: bool) -> FsResult<()> {
        self.permit(who, directory, WRITE | SEARCH)?;
        self.spare_sticky(who, directory, victim)?;
        match (as_directory, self.is_directory(victim)) {
            (true, false) => Err(Errno::ENOTDIR),
            (false, true) => Err(Errno::EISDIR),
            _ => Ok(()),
        }
    }

    pub fn rename(&mut self, who: &User, from: &Place, to: &Place, flags: Flags) -> FsResult<Answer> {
        let (no_replace, exchange) = (flags.contains(Flags::NOREPLACE), flags.contains(Flags::EXCHANGE));
        let whiteout = flags.contains(Flags::WHITEOUT);
        if exchange && (no_replace || whiteout) {
            return Err(Errno::EINVAL);
        }
        let old = self.walk(who, from)?;
        let new = self.walk(who, to)?;
        let Last::Name(old_name) = old.last else { return Err(Errno::EBUSY) };
        let Last::Name(new_name) = new.last else {
            return Err(if no_replace { Errno::EEXIST } else { Errno::EBUSY });
        };
        let source = self.lookup(old.directory, &old_name)?;
        let target = match self.lookup(new.directory, &new_name) {
            Ok(_) if no_replace => return Err(Errno::EEXIST),
            Ok(target) => Some(target),
            Err(Errno::ENOENT) if exchange || self.is_removed(new.directory) => return Err(Errno::ENOENT),
            Err(Errno::ENOENT) => None,
            Err(error) => return Err(error),
        };
        let (old_is_directory, new_is_directory) =
            (self.is_directory(source), target.is_some_and(|target| self.is_directory(target)));
        if exchange && !new_is_directory && new.slash {
            return Err(Errno::ENOTDIR);
        }
        if !old_is_directory && (old.slash || !exchange && new.slash) {
            return Err(Errno::ENOTDIR);
        }
        if self.oracle.is_within(new.directory, source) {
            return Err(Errno::EINVAL);
        }
        if target.is_some_and(|target| self.oracle.is_within(old.directory, target)) {
            return Err(if exchange { Errno::EINVAL } else { Errno::ENOTEMPTY });
        }
        if target == Some(source) {
            return Ok(Answer::Done);
        }
        self.may_delete(who, old.directory, source, old_is_directory)?;
        match target {
            None => self.permit(who, new.directory, WRITE | SEARCH)?,
            Some(target) if exchange => self.may_delete(who, new.directory, target, new_is_directory)?,
            Some(target) => self.may_delete(who, new.directory, target, old_is_directory)?,
        }
        if old.directory != new.directory {
            // Its ".." changes.
            if old_is_directory {
                self.permit(who, source, WRITE)?;
            }
            if exchange && new_is_directory {
                self.permit(who, target.expect("a directory was found"), WRITE)?;
            }
        }
        let whiteout = whiteout.then(|| Whiteout { ino: self.new_ino(), uid: who.uid, gid: who.gid });
        let flags = RenameFlags { no_replace, exchange, whiteout };
        let (old_name, new_name) = (Name::new(&old_name)?, Name::new(&new_name)?);
        self.oracle.rename(old.directory, &old_name, new.directory, &new_name, flags, self.now())?;
        Ok(Answer::Done)
    }

    pub fn list(&mut self, who: &User, process: u8, place: &Place) -> FsResult<Answer> {
        let ino = self.resolve(who, place, true)?;
        if !self.is_directory(ino) {
            return Err(Errno::ENOTDIR);
        }
        self.permit(who, ino, READ)?;
        // It's opened for this, and closed.
        self.unlock_process(process, ino);
        Ok(self.names(ino))
    }

    pub fn list_open(&mut self, slot: Slot) -> FsResult<Answer> {
        let description = self.usable(slot)?;
        match self.kind(description.ino) {
            FileKind::Directory if description.read => {}
            FileKind::Fifo | FileKind::Socket => return Err(Errno::ESPIPE),
            _ => {
                self.description_mut(slot).position = 0;
                return Err(Errno::ENOTDIR);
            }
        }
        // Nothing is read from a directory that was removed: ENOENT.
        if self.is_removed(description.ino) { Err(Errno::ENOENT) } else { Ok(self.names(description.ino)) }
    }

    fn names(&self, ino: Ino) -> Answer {
        let entries = self.oracle.read_directory(ino).expect("a directory");
        Answer::Names(entries.into_iter().map(|(name, _, kind)| (name.as_bytes().to_vec(), kind)).collect())
    }
}
