//! Reading and writing through descriptors, and what else changes content.

use super::permissions::WRITE;
use super::{Description, Expected, Kernel};
use crate::histories::answer::Answer;
use crate::histories::call::{Data, Place, Slot, Text, User};
use rustix::fs::FallocateFlags;
use shoal_types::{Errno, FileKind, FsResult};

impl Kernel {
    pub fn read(&mut self, slot: Slot, at: Option<i64>, length: usize) -> Expected {
        Expected::Answer(self.try_read(slot, at, length))
    }

    fn try_read(&mut self, slot: Slot, at: Option<i64>, length: usize) -> FsResult<Answer> {
        if at.is_some_and(i64::is_negative) {
            return Err(Errno::EINVAL);
        }
        let description = self.usable(slot)?;
        if !description.read {
            return Err(Errno::EBADF);
        }
        let from = at.map_or(description.position, |at| at as u64);
        let bytes = self.oracle.read(description.ino, from, length)?;
        if at.is_none() {
            self.description_mut(slot).position += bytes.len() as u64;
        }
        Ok(Answer::Bytes(Text(bytes)))
    }

    pub fn write(&mut self, who: &User, slot: Slot, at: Option<i64>, data: Data, append: bool) -> Expected {
        Expected::Answer(self.try_write(who, slot, at, data, append))
    }

    fn try_write(&mut self, who: &User, slot: Slot, at: Option<i64>, data: Data, append: bool) -> FsResult<Answer> {
        if at.is_some_and(i64::is_negative) {
            return Err(Errno::EINVAL);
        }
        let Description { ino, write, append: appends, position, .. } = self.usable(slot)?;
        if !write {
            return Err(Errno::EBADF);
        }
        let to = match at {
            _ if append || appends => self.attributes(ino).length,
            Some(at) => at as u64,
            None => position,
        };
        if data.length > 0 {
            self.take_privileges(who, ino);
            self.oracle.write(ino, to, &data.bytes(), self.now())?;
        }
        // pwritev2 was told a place of its own, 0, and leaves the description's.
        if at.is_none() && !append && data.length > 0 {
            self.description_mut(slot).position = to + data.length as u64;
        }
        Ok(Answer::Count(data.length as u64))
    }

    pub fn seek(&mut self, slot: Slot, to: i64) -> Expected {
        Expected::Answer(self.usable(slot).and_then(|_| {
            let to = u64::try_from(to).map_err(|_| Errno::EINVAL)?;
            self.description_mut(slot).position = to;
            Ok(Answer::Count(to))
        }))
    }

    pub fn truncate(&mut self, who: &User, place: &Place, length: i64) -> FsResult<Answer> {
        let length = u64::try_from(length).map_err(|_| Errno::EINVAL)?;
        let ino = self.resolve(who, place, true)?;
        match self.kind(ino) {
            FileKind::Regular => {}
            FileKind::Directory => return Err(Errno::EISDIR),
            _ => return Err(Errno::EINVAL),
        }
        self.permit(who, ino, WRITE)?;
        self.take_privileges(who, ino);
        self.oracle.truncate(ino, length, self.now())?;
        Ok(Answer::Done)
    }

    pub fn truncate_open(&mut self, who: &User, slot: Slot, length: i64) -> FsResult<Answer> {
        let length = u64::try_from(length).map_err(|_| Errno::EINVAL)?;
        let Description { ino, write, .. } = self.usable(slot)?;
        if !write || self.kind(ino) != FileKind::Regular {
            return Err(Errno::EINVAL);
        }
        self.take_privileges(who, ino);
        self.oracle.truncate(ino, length, self.now())?;
        Ok(Answer::Done)
    }

    pub fn allocate(
        &mut self,
        who: &User,
        slot: Slot,
        flags: FallocateFlags,
        at: i64,
        length: i64,
    ) -> FsResult<Answer> {
        let Description { ino, write, .. } = self.usable(slot)?;
        let (at, length) = match (u64::try_from(at), u64::try_from(length)) {
            (Ok(at), Ok(length)) if length > 0 => (at, length),
            _ => return Err(Errno::EINVAL),
        };
        let keep = flags.contains(FallocateFlags::KEEP_SIZE);
        let punch = flags.contains(FallocateFlags::PUNCH_HOLE);
        if punch && !keep {
            return Err(Errno::EOPNOTSUPP);
        }
        if !write {
            return Err(Errno::EBADF);
        }
        match self.kind(ino) {
            FileKind::Regular => {}
            FileKind::Directory => return Err(Errno::EISDIR),
            _ => return Err(Errno::ENODEV),
        }
        if flags.intersects(FallocateFlags::COLLAPSE_RANGE | FallocateFlags::INSERT_RANGE) {
            return Err(Errno::EOPNOTSUPP);
        }
        let zeros = punch || flags.contains(FallocateFlags::ZERO_RANGE);
        let hole = if zeros { at..at + length } else { at..at };
        self.take_privileges(who, ino);
        self.oracle.fallocate(ino, hole, if keep { 0 } else { at + length }, self.now())?;
        Ok(Answer::Done)
    }

    pub fn find_data(&mut self, slot: Slot, from: u64) -> Expected {
        let description = match self.usable(slot) {
            Ok(description) => description,
            Err(error) => return Expected::Answer(Err(error)),
        };
        if self.kind(description.ino) != FileKind::Regular {
            return Expected::Unjudged;
        }
        let length = self.attributes(description.ino).length;
        if from >= length {
            return Expected::Answer(Err(Errno::ENXIO));
        }
        let (oracle, ino) = (self.oracle.clone(), description.ino);
        Expected::Data { from, length, zeros: Box::new(move |range| oracle.is_zero(ino, range)) }
    }

    pub fn copy(&mut self, who: &User, from: (Slot, u64), to: (Slot, u64), length: u64) -> FsResult<Answer> {
        let (source, target) = (self.usable(from.0)?, self.usable(to.0)?);
        for ino in [source.ino, target.ino] {
            if self.is_directory(ino) {
                return Err(Errno::EISDIR);
            }
        }
        if !source.read || !target.write || target.append {
            return Err(Errno::EBADF);
        }
        let there = self.attributes(source.ino).length.saturating_sub(from.1);
        let overlap = source.ino == target.ino && from.1.abs_diff(to.1) < there.min(length);
        if !overlap && there.min(length) > 0 {
            self.take_privileges(who, target.ino);
        }
        let count = self.oracle.copy_range((source.ino, from.1), (target.ino, to.1), length, self.now())?;
        Ok(Answer::Count(count))
    }

    pub fn write_mapped(&mut self, slot: Slot, at: u64, data: Data) -> FsResult<Answer> {
        let description = *self.description(slot);
        let attributes = self.attributes(description.ino);
        if attributes.kind != FileKind::Regular || attributes.length < at + data.length as u64 {
            return Ok(Answer::Count(0));
        }
        if description.path_only {
            return Err(Errno::EBADF);
        }
        if !description.read || !description.write {
            return Err(Errno::EACCES);
        }
        // Nobody is asked, so set-id bits stay.
        self.oracle.write(description.ino, at, &data.bytes(), self.now())?;
        Ok(Answer::Count(data.length as u64))
    }

    pub fn sync(&self, slot: Slot) -> FsResult<Answer> {
        self.usable(slot).map(|_| Answer::Done)
    }

    pub fn drop_pages(&self, slot: Slot) -> FsResult<Answer> {
        self.usable(slot).map(|_| Answer::Done)
    }
}
