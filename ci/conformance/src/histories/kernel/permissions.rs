//! Who may do what: modes, access control lists, and what root is free of.

use super::Kernel;
use crate::histories::call::User;
use shoal_types::{Acl, AclTag, Errno, FileKind, FsResult, Ino, XattrName};

pub const READ: u8 = 4;
pub const WRITE: u8 = 2;
pub const SEARCH: u8 = 1;

pub const SETUID: u16 = 0o4000;
pub const SETGID: u16 = 0o2000;
const STICKY: u16 = 0o1000;
const GROUP_EXECUTE: u16 = 0o010;

impl Kernel {
    /// `EACCES`.
    pub fn permit(&self, who: &User, ino: Ino, mask: u8) -> FsResult<()> {
        if self.mode_permits(who, ino, mask) {
            return Ok(());
        }
        let attributes = self.attributes(ino);
        let can_be_run = attributes.kind == FileKind::Directory || attributes.mode & 0o111 != 0;
        if who.uid == 0 && (mask & SEARCH == 0 || can_be_run) { Ok(()) } else { Err(Errno::EACCES) }
    }

    fn mode_permits(&self, who: &User, ino: Ino, mask: u8) -> bool {
        let attributes = self.attributes(ino);
        let mode = attributes.mode;
        let granted = |bits: u16| u16::from(mask) & !bits & 0o7 == 0;
        if who.uid == attributes.uid {
            return granted(mode >> 6);
        }
        // A list is looked at only where its mask, which is the mode's group, grants anything.
        if mode & 0o070 != 0
            && let Ok(acl) = self.oracle.get_xattr(ino, &XattrName::known(XattrName::ACCESS_ACL))
        {
            let acl = Acl::parse(&acl).expect("only valid lists are kept").expect("and none that are empty");
            return acl_permits(&acl, who, attributes.gid, mask);
        }
        granted(if who.is_in(attributes.gid) { mode >> 3 } else { mode })
    }

    pub fn owns(&self, who: &User, ino: Ino) -> bool {
        who.uid == 0 || who.uid == self.attributes(ino).uid
    }

    /// Whether the setgid bit is theirs to keep.
    pub fn is_of_group(&self, who: &User, gid: u32) -> bool {
        who.uid == 0 || who.is_in(gid)
    }

    /// `EPERM` where the directory is sticky, and neither it nor the victim belongs to them.
    pub fn spare_sticky(&self, who: &User, directory: Ino, victim: Ino) -> FsResult<()> {
        let sticky = self.attributes(directory).mode & STICKY != 0;
        let spared = sticky && !self.owns(who, victim) && !self.owns(who, directory);
        if spared { Err(Errno::EPERM) } else { Ok(()) }
    }

    pub fn is_sticky(&self, directory: Ino) -> bool {
        self.attributes(directory).mode & STICKY != 0
    }

    /// Set-id bits and the capability go with a change of content.
    pub fn take_privileges(&mut self, who: &User, ino: Ino) {
        let attributes = self.attributes(ino);
        if attributes.kind == FileKind::Regular && who.uid != 0 {
            let mode = self.without_set_id(who, ino);
            if mode != attributes.mode {
                let set = self.oracle.set_attributes(ino, Some(mode), None, None, None, None, self.now());
                set.expect("it's there");
            }
        }
        self.take_capability(ino);
    }

    pub fn take_capability(&mut self, ino: Ino) {
        let (capability, now) = (XattrName::known(XattrName::CAPABILITY), self.now());
        if self.oracle.get_xattr(ino, &capability).is_ok() {
            self.oracle.remove_xattr(ino, &capability, now).expect("just seen");
        }
    }

    /// Setgid without group execution is left to members of the group.
    pub fn without_set_id(&self, who: &User, ino: Ino) -> u16 {
        let attributes = self.attributes(ino);
        let keeps_setgid = attributes.mode & GROUP_EXECUTE == 0 && self.is_of_group(who, attributes.gid);
        attributes.mode & if keeps_setgid { !SETUID } else { !(SETUID | SETGID) }
    }

    /// The mode of what is made in a directory with setgid by who is not of its group.
    pub fn new_mode(&self, who: &User, directory: Ino, mode: u16) -> u16 {
        let inherited = self.attributes(directory);
        let both = SETGID | GROUP_EXECUTE;
        let foreign = inherited.mode & SETGID != 0 && !self.is_of_group(who, inherited.gid);
        if mode & both == both && foreign { mode & !SETGID } else { mode }
    }
}

impl User {
    pub fn is_in(&self, gid: u32) -> bool {
        self.gid == gid || self.groups.contains(&gid)
    }
}

/// The owner has been asked before.
fn acl_permits(acl: &Acl, who: &User, owning_group: u32, wanted: u8) -> bool {
    let wanted = u16::from(wanted);
    let masked = acl.permissions(AclTag::Mask).unwrap_or(0o7);
    let grants = |permissions: u16| wanted & !permissions == 0;
    let user = acl.entries().iter().find(|entry| entry.tag == AclTag::User && entry.id == who.uid);
    if let Some(user) = user {
        return grants(user.permissions & masked);
    }
    let of_groups = acl.entries().iter().filter(|entry| match entry.tag {
        AclTag::OwningGroup => who.is_in(owning_group),
        AclTag::Group => who.is_in(entry.id),
        _ => false,
    });
    let of_groups: Vec<u16> = of_groups.map(|entry| entry.permissions).collect();
    match of_groups.is_empty() {
        false => of_groups.into_iter().any(grants) && grants(masked),
        true => grants(acl.permissions(AclTag::Other).expect("every list has others")),
    }
}
