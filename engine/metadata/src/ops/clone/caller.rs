//! What whoever asks for a clone may read, and what of its files' owners, modes and attributes the copies keep: as with
//! `cp -a` by that user.

use crate::Caller;
use crate::records::Identity;
use shoal_types::{Acl, AclTag, Errno, FileKind, FsResult, XattrName};

impl Caller {
    pub fn is_superuser(&self) -> bool {
        self.uid == super::super::create::SUPERUSER
    }

    fn is_member(&self, gid: u32) -> bool {
        self.gid == gid || self.groups.contains(&gid)
    }

    /// `EACCES` for what it may not read, `EPERM` for a device that it may not make.
    pub fn require(&self, identity: &Identity, acl: Option<&Acl>) -> FsResult<()> {
        let wanted = match identity.kind {
            _ if self.is_superuser() => return Ok(()),
            FileKind::Regular => READ,
            FileKind::Directory => READ | SEARCH,
            // Anybody may make a whiteout, as mknod(2) has it.
            FileKind::CharDevice if identity.rdev == 0 => return Ok(()),
            FileKind::CharDevice | FileKind::BlockDevice => return Err(Errno::EPERM),
            FileKind::Symlink | FileKind::Fifo | FileKind::Socket => return Ok(()),
        };
        match self.permissions(identity, acl.filter(|_| self.acls), wanted) & wanted == wanted {
            true => Ok(()),
            false => Err(Errno::EACCES),
        }
    }

    /// Those of the first class that fits (`acl(5)`). Of the group class, which may have several entries, one that grants
    /// what is wanted.
    fn permissions(&self, identity: &Identity, acl: Option<&Acl>, wanted: u16) -> u16 {
        let mode = identity.mode;
        if self.uid == identity.uid {
            return mode >> 6;
        }
        let Some(acl) = acl else {
            return if self.is_member(identity.gid) { mode >> 3 } else { mode };
        };
        let mask = acl.permissions(AclTag::Mask).unwrap_or(0o7);
        if let Some(user) = acl.entries().iter().find(|entry| entry.tag == AclTag::User && entry.id == self.uid) {
            return user.permissions & mask;
        }
        let groups = acl.entries().iter().filter(|entry| match entry.tag {
            AclTag::OwningGroup => self.is_member(identity.gid),
            AclTag::Group => self.is_member(entry.id),
            _ => false,
        });
        let groups: Vec<u16> = groups.map(|entry| entry.permissions & mask).collect();
        match groups.iter().find(|permissions| **permissions & wanted == wanted).or(groups.first()) {
            Some(permissions) => *permissions,
            None => mode,
        }
    }

    /// The copy's mode, owner and group. Who is not root owns what it makes; the group stays where it's one of its own.
    /// Set-id and sticky bits mean something else for another owner.
    pub fn ownership(&self, identity: &Identity) -> (u16, u32, u32) {
        let Identity { mode, uid, gid, .. } = *identity;
        if self.is_superuser() {
            return (mode, uid, gid);
        }
        let kept = if self.is_member(gid) { gid } else { self.gid };
        let mode = if (self.uid, kept) == (uid, gid) { mode } else { mode & 0o777 };
        (mode, self.uid, kept)
    }

    /// Whether the copy gets this attribute. Those that only an administrator may set are left out for others.
    pub fn keeps(&self, name: &XattrName) -> bool {
        self.is_superuser() || name.is_acl() || name.as_bytes().starts_with(b"user.")
    }
}

const READ: u16 = 0o4;
const SEARCH: u16 = 0o1;

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_types::{AclEntry, Ino, Timestamp};

    fn caller(uid: u32, gid: u32, groups: &[u32]) -> Caller {
        Caller { uid, gid, groups: groups.to_vec(), acls: true }
    }

    fn identity(kind: FileKind, mode: u16) -> Identity {
        Identity { mode, uid: 9, gid: 9, ..Identity::new(kind, Ino::ROOT, Timestamp::ZERO) }
    }

    fn may(caller: &Caller, mode: u16) -> bool {
        caller.require(&identity(FileKind::Regular, mode), None).is_ok()
    }

    #[test]
    fn the_first_class_that_fits_decides() {
        assert!(may(&caller(9, 1, &[]), 0o400) && !may(&caller(9, 9, &[9]), 0o077));
        assert!(may(&caller(1, 9, &[]), 0o040) && may(&caller(1, 2, &[9]), 0o040) && !may(&caller(1, 2, &[9]), 0o707));
        assert!(may(&caller(1, 2, &[3]), 0o004) && !may(&caller(1, 2, &[3]), 0o773));
        assert!(may(&caller(0, 0, &[]), 0));
    }

    #[test]
    fn a_directory_has_to_be_searchable_as_well() {
        let require = |mode| caller(1, 1, &[]).require(&identity(FileKind::Directory, mode), None);
        assert_eq!([0o775, 0o774, 0o771].map(require), [Ok(()), Err(Errno::EACCES), Err(Errno::EACCES)]);
    }

    #[test]
    fn lists_decide_where_they_count() {
        let entry = |tag, permissions, id| AclEntry { tag, permissions, id };
        let acl = Acl::new(vec![
            entry(AclTag::Owner, 0, 0),
            entry(AclTag::User, 4, 1),
            entry(AclTag::User, 4, 2),
            entry(AclTag::OwningGroup, 0, 0),
            entry(AclTag::Group, 0, 20),
            entry(AclTag::Group, 4, 21),
            entry(AclTag::Mask, 4, 0),
            entry(AclTag::Other, 0, 0),
        ]);
        let acl = acl.unwrap();
        let file = identity(FileKind::Regular, acl.mode());
        let may = |caller: &Caller| caller.require(&file, Some(&acl)).is_ok();
        assert!(!may(&caller(9, 21, &[])), "the owner has nothing");
        assert!(may(&caller(1, 5, &[])) && !may(&caller(3, 5, &[])));
        assert!(!may(&caller(3, 20, &[])) && may(&caller(3, 20, &[21])), "one group that may is enough");
        assert!(!may(&Caller { acls: false, ..caller(1, 5, &[]) }));
    }

    #[test]
    fn only_root_copies_devices_and_everybody_whiteouts() {
        let device = |rdev| Identity { rdev, ..identity(FileKind::CharDevice, 0) };
        assert_eq!(caller(1, 1, &[]).require(&device(5), None), Err(Errno::EPERM));
        assert_eq!(caller(1, 1, &[]).require(&device(0), None), Ok(()));
        assert_eq!(caller(0, 0, &[]).require(&device(5), None), Ok(()));
        assert_eq!(caller(1, 1, &[]).require(&identity(FileKind::Fifo, 0), None), Ok(()));
    }

    #[test]
    fn who_is_not_root_owns_its_copies_and_loses_bits_that_meant_another_owner() {
        let file = identity(FileKind::Regular, 0o6755);
        assert_eq!(caller(0, 0, &[]).ownership(&file), (0o6755, 9, 9));
        assert_eq!(caller(9, 1, &[9]).ownership(&file), (0o6755, 9, 9));
        assert_eq!(caller(9, 1, &[]).ownership(&file), (0o755, 9, 1));
        assert_eq!(caller(1, 2, &[9]).ownership(&file), (0o755, 1, 9));
    }

    #[test]
    fn attributes_of_administrators_are_kept_for_root_alone() {
        let kept = |caller: &Caller| {
            let names: [&[u8]; 4] = [b"user.a", b"trusted.a", b"security.capability", b"system.posix_acl_access"];
            names.map(|name| caller.keeps(&XattrName::new(name).unwrap()))
        };
        assert_eq!(kept(&caller(0, 0, &[])), [true; 4]);
        assert_eq!(kept(&caller(1, 1, &[])), [true, false, false, true]);
    }
}
