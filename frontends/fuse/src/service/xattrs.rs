//! Extended attributes.
//!
//! The kernel has checked who may do what: `user.*` only on files and directories, `trusted.*` only for administrators, a
//! sticky directory's only by its owner. It has also checked the flags, and names and values against their largest size.

use super::{SUPERUSER, VolumeService};
use crate::transport::{Reply, ReplyBody};
use rustix::fs::XattrFlags;
use shoal_fuse_protocol::{Header, xattr_size_out};
use shoal_types::{Errno, FsResult, Ino, XattrMode, XattrName};

impl VolumeService {
    pub(super) async fn getxattr<R: Reply>(&self, ino: Ino, name: &[u8], size: u32, reply: R) {
        let value = match self.xattr_name(name) {
            Ok(name) => self.volume.get_xattr(ino, &name).await,
            Err(errno) => Err(errno),
        };
        answer(reply, size, value);
    }

    pub(super) async fn listxattr<R: Reply>(&self, header: &Header, ino: Ino, size: u32, reply: R) {
        let names = self.volume.list_xattrs(ino).await;
        answer(reply, size, names.map(|names| self.name_list(header, &names)));
    }

    /// A NUL behind each name. The capability that lets see `trusted.*` does not travel with a request; being root has to
    /// stand for it.
    fn name_list(&self, header: &Header, names: &[XattrName]) -> Vec<u8> {
        let shown =
            |name: &&XattrName| (header.uid == SUPERUSER || !name.is_trusted()) && (self.posix_acl || !name.is_acl());
        names.iter().filter(shown).flat_map(|name| [name.as_bytes(), b"\0"]).flatten().copied().collect()
    }

    pub(super) async fn setxattr(
        &self,
        ino: Ino,
        name: &[u8],
        value: &[u8],
        flags: u32,
        kill_sgid: bool,
    ) -> FsResult<()> {
        let name = self.xattr_name(name)?;
        match mode(flags)? {
            Some(mode) => self.volume.set_xattr(ino, &name, value, mode, kill_sgid).await.map(drop),
            None => self.volume.get_xattr(ino, &name).await.and(Err(Errno::EEXIST)),
        }
    }

    pub(super) async fn removexattr(&self, ino: Ino, name: &[u8]) -> FsResult<()> {
        self.volume.remove_xattr(ino, &self.xattr_name(name)?).await.map(drop)
    }

    fn xattr_name(&self, name: &[u8]) -> FsResult<XattrName> {
        match XattrName::new(name)? {
            acl if acl.is_acl() && !self.posix_acl => Err(Errno::EOPNOTSUPP),
            name => Ok(name),
        }
    }
}

/// Whole, or its size alone where that is asked for.
fn answer<R: Reply>(reply: R, size: u32, value: FsResult<Vec<u8>>) {
    match value {
        Err(errno) => reply.send(Err(errno)),
        Ok(value) if size == 0 => reply.send(Ok(ReplyBody::Bytes(&xattr_size_out(value.len() as u32)))),
        Ok(value) if value.len() > size as usize => reply.send(Err(Errno::ERANGE)),
        Ok(value) => reply.send(Ok(ReplyBody::Bytes(&value))),
    }
}

/// From the flags of setxattr(2). `None` for both together, which no value can satisfy.
fn mode(flags: u32) -> FsResult<Option<XattrMode>> {
    let flags = XattrFlags::from_bits_retain(flags);
    if !(XattrFlags::CREATE | XattrFlags::REPLACE).contains(flags) {
        return Err(Errno::EINVAL);
    }
    Ok(match (flags.contains(XattrFlags::CREATE), flags.contains(XattrFlags::REPLACE)) {
        (true, true) => None,
        (true, false) => Some(XattrMode::Create),
        (false, true) => Some(XattrMode::Replace),
        (false, false) => Some(XattrMode::Any),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_are_those_of_the_system_call() {
        let modes = [Some(XattrMode::Any), Some(XattrMode::Create), Some(XattrMode::Replace), None];
        assert_eq!([0, 1, 2, 3].map(|flags| mode(flags).unwrap()), modes);
        assert_eq!(mode(4), Err(Errno::EINVAL));
    }
}
