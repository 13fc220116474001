//! Rename in all its cases.
//!
//! Order of checks, the first that applies is the answer:
//! 1. flags that exclude each other: `EINVAL`
//! 2. old parent unknown `ENOENT`, no directory `ENOTDIR`; old name missing `ENOENT`
//! 3. new parent unknown or removed `ENOENT`, no directory `ENOTDIR`
//!    (where the kernel walks paths it finds a bad new parent before it looks for the old name)
//! 4. NOREPLACE and the new name is taken `EEXIST`; EXCHANGE and it is not `ENOENT`
//! 5. into itself or its own descendant `EINVAL`
//! 6. onto an ancestor of itself: EXCHANGE `EINVAL`, otherwise `ENOTEMPTY`
//! 7. both names are the same inode: nothing happens, and no time changes
//! 8. flags of the old directory, of the new one, of what is moved: `EPERM`
//! 9. a directory over something else `ENOTDIR`, something else over a directory `EISDIR` (EXCHANGE takes any two)
//! 10. flags of what is replaced or exchanged: `EPERM`
//! 11. over a directory with entries `ENOTEMPTY`

use crate::{NewNode, Oracle};
use shoal_types::{Errno, FileKind, FsResult, Ino, InodeFlags, Name, Timestamp, Whiteout};

/// As of `renameat2`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct RenameFlags {
    pub no_replace: bool,
    pub exchange: bool,
    pub whiteout: Option<Whiteout>,
}

impl Oracle {
    pub fn rename(
        &mut self,
        old_parent: Ino,
        old_name: &Name,
        new_parent: Ino,
        new_name: &Name,
        flags: RenameFlags,
        now: Timestamp,
    ) -> FsResult<()> {
        if flags.exchange && (flags.no_replace || flags.whiteout.is_some()) {
            return Err(Errno::EINVAL);
        }
        let source = self.entry(old_parent, old_name)?;
        if self.directory(new_parent)?.parent.is_none() {
            return Err(Errno::ENOENT);
        }
        let target = self.entry(new_parent, new_name).ok();
        if flags.no_replace && target.is_some() {
            return Err(Errno::EEXIST);
        }
        if flags.exchange && target.is_none() {
            return Err(Errno::ENOENT);
        }
        if self.is_within(new_parent, source) {
            return Err(Errno::EINVAL);
        }
        if target.is_some_and(|target| self.is_within(old_parent, target)) {
            return Err(if flags.exchange { Errno::EINVAL } else { Errno::ENOTEMPTY });
        }
        if target == Some(source) {
            return Ok(());
        }

        self.refuse(old_parent, InodeFlags::PROTECTION)?;
        let loses = if target.is_some() { InodeFlags::PROTECTION } else { InodeFlags::IMMUTABLE };
        self.refuse(new_parent, loses)?;
        self.refuse(source, InodeFlags::PROTECTION)?;

        if flags.exchange {
            self.refuse(self.entry(new_parent, new_name)?, InodeFlags::PROTECTION)?;
            self.detach(old_parent, old_name, now);
            let target = self.detach(new_parent, new_name, now);
            self.attach(old_parent, old_name, target, now);
        } else {
            self.replace_target(source, target, new_parent, new_name, now)?;
            self.detach(old_parent, old_name, now);
        }
        self.attach(new_parent, new_name, source, now);
        if let Some(whiteout) = flags.whiteout {
            self.leave_whiteout(whiteout, old_parent, old_name, now);
        }
        Ok(())
    }

    /// Takes the new name from whatever has it, if `source` may replace that.
    fn replace_target(
        &mut self,
        source: Ino,
        target: Option<Ino>,
        new_parent: Ino,
        new_name: &Name,
        now: Timestamp,
    ) -> FsResult<()> {
        let Some(target) = target else { return Ok(()) };
        match (self.is_directory(source), self.is_directory(target)) {
            (true, false) => return Err(Errno::ENOTDIR),
            (false, true) => return Err(Errno::EISDIR),
            (true, true) | (false, false) => self.refuse(target, InodeFlags::PROTECTION)?,
        }
        if self.directory(target).is_ok_and(|directory| !directory.entries.is_empty()) {
            return Err(Errno::ENOTEMPTY);
        }
        self.detach(new_parent, new_name, now);
        self.reap(target);
        Ok(())
    }

    fn leave_whiteout(&mut self, whiteout: Whiteout, parent: Ino, name: &Name, now: Timestamp) {
        let Whiteout { ino, uid, gid } = whiteout;
        let whiteout = NewNode { ino, mode: 0, umask: 0, uid, gid };
        self.mknod(parent, name, whiteout, FileKind::CharDevice, 0, now).expect("the old name has just become free");
    }

    /// Whether `ino` is `ancestor` or lies below it. A removed directory lies below nothing.
    pub fn is_within(&self, mut ino: Ino, ancestor: Ino) -> bool {
        loop {
            if ino == ancestor {
                return true;
            }
            match self.directory(ino).ok().and_then(|directory| directory.parent) {
                Some(parent) if parent != ino => ino = parent,
                _ => return false,
            }
        }
    }
}

#[cfg(test)]
#[path = "rename_tests.rs"]
mod tests;
