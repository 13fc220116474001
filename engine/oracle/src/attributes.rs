//! Setting attributes. Clearing set-id bits on chown or write is the caller's decision: it passes the wished mode.

use crate::Oracle;
use shoal_types::{Attributes, FsResult, Ino, Timestamp};

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
        node.mode = mode.map_or(node.mode, |mode| mode & 0o7777);
        node.uid = uid.unwrap_or(node.uid);
        node.gid = gid.unwrap_or(node.gid);
        node.atime = atime.unwrap_or(node.atime);
        node.mtime = mtime.unwrap_or(node.mtime);
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
