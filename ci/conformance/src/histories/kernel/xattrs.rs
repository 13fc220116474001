//! Extended attributes and access control lists.

use super::Kernel;
use super::permissions::{READ, WRITE};
use crate::histories::answer::Answer;
use crate::histories::call::{Target, Text, User};
use rustix::fs::XattrFlags;
use shoal_types::{Acl, Errno, FileKind, FsResult, Ino, XattrMode, XattrName};

impl Kernel {
    pub fn set_xattr(
        &mut self,
        who: &User,
        target: &Target,
        name: &[u8],
        value: &[u8],
        flags: XattrFlags,
    ) -> FsResult<Answer> {
        check_length(name)?;
        let ino = self.target(who, target)?;
        let mode = match flags {
            flags if flags.contains(XattrFlags::CREATE) => XattrMode::Create,
            flags if flags.contains(XattrFlags::REPLACE) => XattrMode::Replace,
            _ => XattrMode::Any,
        };
        let drop_setgid = !self.is_of_group(who, self.attributes(ino).gid);
        if is_acl(name) {
            // No value is as good as no entries.
            let acl = if value.is_empty() { None } else { Acl::parse(value)? };
            self.may_set_acl(who, ino, name, acl.is_some())?;
        } else {
            self.may_write_xattr(who, ino, name)?;
        }
        let name = XattrName::new(name)?;
        if name.is_acl() && value.is_empty() {
            self.oracle.remove_xattr(ino, &name, self.now())?;
            return Ok(Answer::Done);
        }
        self.oracle.set_xattr(ino, &name, value, mode, drop_setgid, self.now())?;
        Ok(Answer::Done)
    }

    pub fn remove_xattr(&mut self, who: &User, target: &Target, name: &[u8]) -> FsResult<Answer> {
        check_length(name)?;
        let ino = self.target(who, target)?;
        if is_acl(name) {
            self.may_set_acl(who, ino, name, false)?;
        } else {
            self.may_write_xattr(who, ino, name)?;
        }
        self.oracle.remove_xattr(ino, &XattrName::new(name)?, self.now())?;
        Ok(Answer::Done)
    }

    pub fn get_xattr(&self, who: &User, target: &Target, name: &[u8]) -> FsResult<Answer> {
        check_length(name)?;
        let ino = self.target(who, target)?;
        let kind = self.kind(ino);
        if is_acl(name) {
            if kind == FileKind::Symlink {
                return Err(Errno::EOPNOTSUPP);
            }
        } else if name.starts_with(TRUSTED) {
            if who.uid != 0 {
                return Err(Errno::ENODATA);
            }
        } else if name.starts_with(USER) && !matches!(kind, FileKind::Regular | FileKind::Directory) {
            return Err(Errno::ENODATA);
        } else if !name.starts_with(SECURITY) {
            self.permit(who, ino, READ)?;
        }
        Ok(Answer::Bytes(Text(self.oracle.get_xattr(ino, &XattrName::new(name)?)?)))
    }

    pub fn list_xattrs(&self, who: &User, target: &Target) -> FsResult<Answer> {
        let ino = self.target(who, target)?;
        let names = self.oracle.list_xattrs(ino)?.into_iter().filter(|name| who.uid == 0 || !name.is_trusted());
        Ok(Answer::XattrNames(names.map(|name| name.as_bytes().to_vec()).collect()))
    }

    /// `EPERM`, `EACCES`; each namespace has rules of its own.
    fn may_write_xattr(&self, who: &User, ino: Ino, name: &[u8]) -> FsResult<()> {
        let kind = self.kind(ino);
        if name.starts_with(TRUSTED) || name.starts_with(SECURITY) {
            return if who.uid == 0 { Ok(()) } else { Err(Errno::EPERM) };
        }
        if name.starts_with(USER) {
            let sticky = kind == FileKind::Directory && self.is_sticky(ino);
            if !matches!(kind, FileKind::Regular | FileKind::Directory) || sticky && !self.owns(who, ino) {
                return Err(Errno::EPERM);
            }
        }
        self.permit(who, ino, WRITE)
    }

    fn may_set_acl(&self, who: &User, ino: Ino, name: &[u8], given: bool) -> FsResult<()> {
        let kind = self.kind(ino);
        if kind == FileKind::Symlink {
            return Err(Errno::EOPNOTSUPP);
        }
        if name == XattrName::DEFAULT_ACL.as_bytes() && kind != FileKind::Directory {
            return if given { Err(Errno::EACCES) } else { Ok(()) };
        }
        if self.owns(who, ino) { Ok(()) } else { Err(Errno::EPERM) }
    }
}

fn is_acl(name: &[u8]) -> bool {
    name == XattrName::ACCESS_ACL.as_bytes() || name == XattrName::DEFAULT_ACL.as_bytes()
}

fn check_length(name: &[u8]) -> FsResult<()> {
    if name.is_empty() || name.len() > XattrName::BYTES_MAX { Err(Errno::ERANGE) } else { Ok(()) }
}

const USER: &[u8] = b"user.";
const TRUSTED: &[u8] = b"trusted.";
const SECURITY: &[u8] = b"security.";
