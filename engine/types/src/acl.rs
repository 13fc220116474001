//! POSIX access control lists (`acl(5)`, POSIX.1e draft 17) in the kernel's form of extended attributes.
//!
//! ```text
//! 0  version 2 (4)   then for each entry:   tag (2)   permissions (2)   user or group id (4)
//! ```
//!
//! All little-endian. An [`Acl`] is always valid: tags in order, one owner, owning group and others each, and a mask
//! where anybody is named. Ids of the entries that name nobody are written as all ones.

use crate::Errno;
use serde::{Deserialize, Serialize};

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Acl(Vec<AclEntry>);

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AclEntry {
    pub tag: AclTag,
    /// Read 4, write 2, execute 1.
    pub permissions: u16,
    /// Of a named user or group; otherwise `NOBODY`.
    pub id: u32,
}

/// In the order in which entries stand; the discriminants are the kernel's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[repr(u16)]
pub enum AclTag {
    Owner = 0x01,
    User = 0x02,
    OwningGroup = 0x04,
    Group = 0x08,
    Mask = 0x10,
    Other = 0x20,
}

impl Acl {
    /// `None` for no entries at all, which is how a list is taken away. `EOPNOTSUPP` for another version of the form,
    /// `EINVAL` for anything that is no valid list.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, Errno> {
        let (version, entries) = bytes.split_first_chunk().ok_or(Errno::EINVAL)?;
        if u32::from_le_bytes(*version) != VERSION {
            return Err(Errno::EOPNOTSUPP);
        }
        let (entries, rest) = entries.as_chunks::<ENTRY_BYTES>();
        match (entries, rest) {
            ([], []) => Ok(None),
            (entries, []) => {
                Self::new(entries.iter().map(AclEntry::parse).collect::<Option<Vec<_>>>().ok_or(Errno::EINVAL)?)
                    .map(Some)
            }
            _ => Err(Errno::EINVAL),
        }
    }

    /// `EINVAL` for entries that make no valid list.
    pub fn new(entries: Vec<AclEntry>) -> Result<Self, Errno> {
        let count = |tag: AclTag| entries.iter().filter(|entry| entry.tag == tag).count();
        let named = count(AclTag::User) + count(AclTag::Group) > 0;
        let valid = entries.is_sorted_by_key(|entry| entry.tag)
            && entries.iter().all(|entry| entry.permissions <= 0o7)
            && entries.iter().all(|entry| !entry.names_somebody() || entry.id != NOBODY)
            && [AclTag::Owner, AclTag::OwningGroup, AclTag::Other].into_iter().all(|tag| count(tag) == 1)
            && count(AclTag::Mask) <= 1
            && (!named || count(AclTag::Mask) == 1);
        if valid { Ok(Acl(entries)) } else { Err(Errno::EINVAL) }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(4 + self.0.len() * ENTRY_BYTES);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        for entry in &self.0 {
            bytes.extend_from_slice(&(entry.tag as u16).to_le_bytes());
            bytes.extend_from_slice(&entry.permissions.to_le_bytes());
            bytes.extend_from_slice(&if entry.names_somebody() { entry.id } else { NOBODY }.to_le_bytes());
        }
        bytes
    }

    pub fn entries(&self) -> &[AclEntry] {
        &self.0
    }

    /// The permissions of the first entry with this tag.
    pub fn permissions(&self, tag: AclTag) -> Option<u16> {
        self.0.iter().find(|entry| entry.tag == tag).map(|entry| entry.permissions)
    }

    pub fn set_permissions(&mut self, tag: AclTag, permissions: u16) {
        let entry = self.0.iter_mut().find(|entry| entry.tag == tag);
        entry.expect("a tag is looked up before it is set").permissions = permissions & 0o7;
    }

    /// The tag whose permissions are the group bits of the mode: the mask where there is one.
    pub fn group_class(&self) -> AclTag {
        self.permissions(AclTag::Mask).map_or(AclTag::OwningGroup, |_| AclTag::Mask)
    }

    /// The nine permission bits that show this list.
    pub fn mode(&self) -> u16 {
        let of = |tag| self.permissions(tag).expect("a valid list has it");
        of(AclTag::Owner) << 6 | of(self.group_class()) << 3 | of(AclTag::Other)
    }

    /// It says no more than a mode does.
    pub fn is_mode_only(&self) -> bool {
        self.0.len() == 3
    }
}

impl AclEntry {
    fn parse(bytes: &[u8; ENTRY_BYTES]) -> Option<Self> {
        use AclTag::*;
        let [tag, permissions] = [0, 2].map(|at| u16::from_le_bytes([bytes[at], bytes[at + 1]]));
        let tag = [Owner, User, OwningGroup, Group, Mask, Other].into_iter().find(|known| *known as u16 == tag)?;
        let id = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
        let entry = AclEntry { tag, permissions, id };
        Some(AclEntry { id: if entry.names_somebody() { id } else { NOBODY }, ..entry })
    }

    fn names_somebody(&self) -> bool {
        matches!(self.tag, AclTag::User | AclTag::Group)
    }
}

const VERSION: u32 = 2;
const ENTRY_BYTES: usize = 8;
/// The id in entries that name nobody.
const NOBODY: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use AclTag::*;

    fn entry(tag: AclTag, permissions: u16, id: u32) -> AclEntry {
        AclEntry { tag, permissions, id }
    }

    fn list() -> Vec<AclEntry> {
        vec![
            entry(Owner, 7, NOBODY),
            entry(User, 6, 1000),
            entry(OwningGroup, 5, NOBODY),
            entry(Group, 4, 0x0102_0304),
            entry(Mask, 6, NOBODY),
            entry(Other, 1, NOBODY),
        ]
    }

    #[test]
    fn a_list_has_its_golden_bytes_which_are_the_kernels() {
        let acl = Acl::new(list()).unwrap();
        let hex: String = acl.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "02000000\
             01000700ffffffff02000600e803000004000500ffffffff080004000403020110000600ffffffff20000100ffffffff"
        );
        assert_eq!(Acl::parse(&acl.to_bytes()), Ok(Some(acl)));
    }

    #[test]
    fn the_mode_shows_the_mask_in_place_of_the_group() {
        let acl = Acl::new(list()).unwrap();
        assert_eq!((acl.mode(), acl.is_mode_only()), (0o761, false));
        let plain = Acl::new(vec![entry(Owner, 6, 0), entry(OwningGroup, 4, 0), entry(Other, 0, 0)]).unwrap();
        assert_eq!((plain.mode(), plain.is_mode_only()), (0o640, true));
    }

    #[test]
    fn what_is_no_valid_list_is_refused() {
        let without = |tag| list().into_iter().filter(|entry| entry.tag != tag).collect::<Vec<_>>();
        for missing in [Owner, OwningGroup, Mask, Other] {
            assert_eq!(Acl::new(without(missing)), Err(Errno::EINVAL), "without {missing:?}");
        }
        for doubled in [Owner, OwningGroup, Mask, Other] {
            let mut entries = list();
            let at = entries.iter().position(|entry| entry.tag == doubled).unwrap();
            entries.insert(at, entries[at]);
            assert_eq!(Acl::new(entries), Err(Errno::EINVAL), "{doubled:?} twice");
        }
        let reversed = list().into_iter().rev().collect();
        assert_eq!(Acl::new(reversed), Err(Errno::EINVAL));
        let change = |change: fn(&mut AclEntry)| {
            let mut entries = list();
            change(&mut entries[1]);
            Acl::new(entries)
        };
        assert_eq!(change(|entry| entry.permissions = 8), Err(Errno::EINVAL));
        assert_eq!(change(|entry| entry.id = NOBODY), Err(Errno::EINVAL));
    }

    #[test]
    fn bytes_that_are_cut_or_of_another_version_are_refused() {
        let bytes = Acl::new(list()).unwrap().to_bytes();
        for length in (0..bytes.len()).filter(|length| *length != 4) {
            assert_eq!(Acl::parse(&bytes[..length]), Err(Errno::EINVAL), "{length} bytes");
        }
        assert_eq!(Acl::parse(&bytes[..4]), Ok(None), "no entries: take the list away");
        assert_eq!(Acl::parse(&[1, 0, 0, 0]), Err(Errno::EOPNOTSUPP));
        let unknown_tag = [&bytes[..4], &[3, 0, 0, 0, 0, 0, 0, 0]].concat();
        assert_eq!(Acl::parse(&unknown_tag), Err(Errno::EINVAL));
    }
}
