//! Modes, owners and times.

use super::Kernel;
use super::permissions::{SETGID, WRITE};
use crate::histories::answer::Answer;
use crate::histories::call::{Place, Target, Time, User};
use shoal_types::{Errno, FileKind, FsResult, Timestamp};

impl Kernel {
    pub fn access(&self, who: &User, place: &Place, mask: u8) -> FsResult<Answer> {
        let ino = self.resolve(who, place, true)?;
        self.permit(who, ino, mask).map(|()| Answer::Done)
    }

    pub fn set_mode(&mut self, who: &User, target: &Target, mode: u16) -> FsResult<Answer> {
        let ino = self.target(who, target)?;
        if !self.owns(who, ino) {
            return Err(Errno::EPERM);
        }
        let foreign = !self.is_of_group(who, self.attributes(ino).gid);
        let mode = if foreign { mode & !SETGID } else { mode };
        self.oracle.set_attributes(ino, Some(mode), None, None, None, None, self.now())?;
        Ok(Answer::Done)
    }

    pub fn set_owner(&mut self, who: &User, target: &Target, uid: Option<u32>, gid: Option<u32>) -> FsResult<Answer> {
        let ino = self.target(who, target)?;
        let before = self.attributes(ino);
        let is_owner = who.uid == before.uid;
        let gives_away = uid.is_some_and(|uid| !(is_owner && uid == before.uid));
        let leaves_groups = gid.is_some_and(|gid| !(is_owner && (who.is_in(gid) || gid == before.gid)));
        if who.uid != 0 && (gives_away || leaves_groups) {
            return Err(Errno::EPERM);
        }
        let mode = match before.kind {
            FileKind::Directory => before.mode,
            _ => self.without_set_id(who, ino),
        };
        let mode = (mode != before.mode).then_some(mode);
        self.oracle.set_attributes(ino, mode, uid, gid, None, None, self.now())?;
        if before.kind != FileKind::Directory {
            self.take_capability(ino);
        }
        Ok(Answer::Done)
    }

    pub fn set_times(&mut self, who: &User, target: &Target, accessed: Time, modified: Time) -> FsResult<Answer> {
        if (accessed, modified) == (Time::Keep, Time::Keep) {
            // Not even the path is looked at.
            return Ok(Answer::Done);
        }
        let ino = self.target(who, target)?;
        if !self.owns(who, ino) {
            match (accessed, modified) {
                (Time::Now, Time::Now) => self.permit(who, ino, WRITE)?,
                _ => return Err(Errno::EPERM),
            }
        }
        let now = self.now();
        let time = |time| match time {
            Time::Now => Some(now),
            Time::Keep => None,
            Time::At(seconds, nanoseconds) => Some(Timestamp::new(seconds, nanoseconds)),
        };
        self.oracle.set_attributes(ino, None, None, None, time(accessed), time(modified), now)?;
        Ok(Answer::Done)
    }
}
