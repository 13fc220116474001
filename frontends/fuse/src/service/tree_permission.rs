//! Who may remove a tree as a whole: whoever could remove it piece by piece.
//!
//! The kernel checks nothing on the way of an ioctl. So what `rm -r` would be checked for is checked here: the right to take
//! the name out of its directory, and to list and to change every directory below that has something in it. That takes a look
//! into each of them, but for the superuser. What can't be told from modes alone is refused: other people's directories with
//! an access control list, and other people's sticky ones.

use super::privileges::groups_of;
use super::{SUPERUSER, VolumeService};
use shoal_fuse_protocol::Header;
use shoal_types::{Attributes, Errno, FileKind, FsResult, Ino, InodeFlags};

struct Caller {
    uid: u32,
    groups: Vec<u32>,
}

impl VolumeService {
    /// `EACCES`, or `EPERM` for the sticky bit.
    pub(super) async fn may_remove_tree(&self, header: &Header, parent: Ino, top: Ino) -> FsResult<()> {
        if header.uid == SUPERUSER {
            return Ok(());
        }
        // Where ids are not believed, neither are groups.
        let others = if self.squash.is_on() { Vec::new() } else { groups_of(header.pid) };
        let caller = Caller { uid: header.uid, groups: [others, vec![header.gid]].concat() };
        let directory = self.volume.get_attributes(parent).await?;
        caller.needs(&directory, WRITE | SEARCH)?;
        let found = self.volume.get_attributes(top).await?;
        if directory.mode & STICKY != 0 && caller.uid != found.uid && caller.uid != directory.uid {
            return Err(Errno::EPERM);
        }
        let mut directories = vec![top];
        while let Some(directory) = directories.pop() {
            self.may_empty(&caller, directory, &mut directories).await?;
        }
        Ok(())
    }

    /// Adds the directories that are in it.
    async fn may_empty(&self, caller: &Caller, directory: Ino, directories: &mut Vec<Ino>) -> FsResult<()> {
        let attributes = self.volume.get_attributes(directory).await?;
        let mut cookie = 0;
        loop {
            let page = self.volume.read_directory(directory, cookie, ENTRIES_PER_PAGE, false).await?;
            let Some(last) = page.entries.last() else { return Ok(()) };
            caller.needs(&attributes, READ | WRITE | SEARCH)?;
            if attributes.mode & STICKY != 0 && caller.uid != attributes.uid {
                return Err(Errno::EPERM);
            }
            cookie = last.cookie;
            let below = page.entries.iter().filter(|entry| entry.kind == FileKind::Directory);
            directories.extend(below.map(|entry| entry.ino));
            if page.end {
                return Ok(());
            }
            // Others have their turn.
            shoal_runtime::yield_now().await;
        }
    }
}

impl Caller {
    fn needs(&self, directory: &Attributes, wanted: u16) -> FsResult<()> {
        let granted = if self.uid == directory.uid {
            directory.mode >> 6
        } else if directory.flags.has(InodeFlags::ACCESS_ACL) {
            0
        } else if self.groups.contains(&directory.gid) {
            directory.mode >> 3
        } else {
            directory.mode
        };
        match wanted & !granted {
            0 => Ok(()),
            _ => Err(Errno::EACCES),
        }
    }
}

const READ: u16 = 4;
const WRITE: u16 = 2;
const SEARCH: u16 = 1;
const STICKY: u16 = 0o1000;
const ENTRIES_PER_PAGE: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_types::Timestamp;

    fn directory(mode: u16, flags: InodeFlags) -> Attributes {
        let now = Timestamp::ZERO;
        Attributes {
            ino: Ino(7),
            kind: FileKind::Directory,
            flags,
            mode,
            uid: 1,
            gid: 2,
            rdev: 0,
            nlink: 2,
            length: 0,
            allocated: 0,
            atime: now,
            mtime: now,
            ctime: now,
            btime: now,
        }
    }

    #[test]
    fn the_first_class_that_fits_decides_and_a_list_grants_others_nothing() {
        let caller = |uid, group| Caller { uid, groups: vec![9, group] };
        let may = |caller: Caller, mode, flags| caller.needs(&directory(mode, flags), READ | WRITE | SEARCH).is_ok();
        let none = InodeFlags::default();
        assert!(may(caller(1, 9), 0o700, none) && !may(caller(3, 9), 0o700, none));
        assert!(may(caller(3, 2), 0o770, none) && !may(caller(3, 2), 0o707, none));
        assert!(may(caller(3, 9), 0o707, none) && !may(caller(1, 9), 0o077, none));
        assert!(!may(caller(3, 2), 0o777, InodeFlags::ACCESS_ACL) && may(caller(1, 2), 0o700, InodeFlags::ACCESS_ACL));
    }
}
