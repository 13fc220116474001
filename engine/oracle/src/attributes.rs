//! Setting attributes. Whether set-id bits go by a chown or a write is the caller's decision.

use crate::Oracle;
use shoal_types::{Attributes, FsResult, Ino, InodeFlags, Timestamp, XattrName};

impl Oracle {
    /// Sets what is given and always the change time.
    #[allow(clippy::too_many_arguments)] // One per attribute; a struct would only rename them.
    pub fn set_attributes(
        &mut self,
        ino: Ino,
        mode: Option<u16>,
        uid: Option<u32>,
        gid: Option<u32>,
        atime: Option<Timestamp>,
        mtime: Option<Timestamp>,
        now: Timestamp,
    ) -> FsResult<Attributes> {
        let node = self.node_mut(ino)?;
        if let Some(mode) = mode {
            node.mode = mode & 0o7777;
            node.show_mode_in_acl();
        }
        node.uid = uid.unwrap_or(node.uid);
        node.gid = gid.unwrap_or(node.gid);
        node.atime = atime.unwrap_or(node.atime);
        node.mtime = mtime.unwrap_or(node.mtime);
        node.ctime = now;
        Ok(self.describe(ino))
    }

    /// Somebody has read it, if it's still there.
    pub fn note_access(&mut self, ino: Ino, now: Timestamp) {
        if let Ok(node) = self.node_mut(ino)
            && !node.user_flags.has(InodeFlags::NO_ACCESS_TIME)
        {
            node.atime = now;
        }
    }

    /// What a change of content or owner by an ordinary user does: setuid goes, setgid too if the group may execute, and
    /// the capability. Directories keep their bits, which mean something else there.
    pub fn drop_privileges(&mut self, ino: Ino, now: Timestamp) -> FsResult<Attributes> {
        let directory = self.is_directory(ino);
        let node = self.node_mut(ino)?;
        if !directory {
            node.mode &= if node.mode & 0o010 == 0 { !0o4000 } else { !0o6000 };
        }
        node.xattrs.remove(&XattrName::known(XattrName::CAPABILITY));
        node.ctime = now;
        Ok(self.describe(ino))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    #[test]
    fn only_the_given_attributes_change_and_the_change_time() {
        let mut oracle = Oracle::new();
        let before = oracle.create(Ino::ROOT, &name("f"), new(2), at(1)).unwrap();
        let after = oracle.set_attributes(Ino(2), Some(0o100_600), None, None, None, Some(at(-4)), at(9)).unwrap();
        assert_eq!(after, Attributes { mode: 0o600, mtime: at(-4), ctime: at(9), ..before });
        let after = oracle.set_attributes(Ino(2), None, Some(1), Some(2), Some(at(3)), None, at(10)).unwrap();
        assert_eq!((after.uid, after.gid, after.atime, after.mtime, after.mode), (1, 2, at(3), at(-4), 0o600));
    }
}
