//! Notifications: messages the daemon sends on its own, so that the kernel forgets what is no longer true.

use crate::abi::{EXPIRE_ONLY, OUT_HEADER_BYTES, notify};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notification<'a> {
    /// Forget an inode's attributes and the cached bytes from `offset`: `length` of them, all if 0, none if `offset`
    /// is negative.
    InvalidateInode { inode: u64, offset: i64, length: i64 },
    /// Forget a name, or mark it stale so that its next use asks again.
    InvalidateEntry { parent: u64, name: &'a [u8], expire_only: bool },
    /// A name was removed elsewhere; watchers of the directory are told.
    Delete { parent: u64, child: u64, name: &'a [u8] },
}

impl Notification<'_> {
    /// The whole message, header included.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; OUT_HEADER_BYTES];
        let code = match *self {
            Notification::InvalidateInode { inode, offset, length } => {
                bytes.extend_from_slice(&inode.to_ne_bytes());
                bytes.extend_from_slice(&offset.to_ne_bytes());
                bytes.extend_from_slice(&length.to_ne_bytes());
                notify::INVAL_INODE
            }
            Notification::InvalidateEntry { parent, name, expire_only } => {
                bytes.extend_from_slice(&parent.to_ne_bytes());
                push_name(&mut bytes, name, if expire_only { EXPIRE_ONLY } else { 0 });
                notify::INVAL_ENTRY
            }
            Notification::Delete { parent, child, name } => {
                bytes.extend_from_slice(&parent.to_ne_bytes());
                bytes.extend_from_slice(&child.to_ne_bytes());
                push_name(&mut bytes, name, 0);
                notify::DELETE
            }
        };
        let length = u32::try_from(bytes.len()).expect("a name is short");
        bytes[0..4].copy_from_slice(&length.to_ne_bytes());
        bytes[4..8].copy_from_slice(&code.to_ne_bytes());
        bytes
    }
}

fn push_name(bytes: &mut Vec<u8>, name: &[u8], flags: u32) {
    let name_bytes = u32::try_from(name.len()).expect("a name is short");
    bytes.extend_from_slice(&name_bytes.to_ne_bytes());
    bytes.extend_from_slice(&flags.to_ne_bytes());
    bytes.extend_from_slice(name);
    bytes.push(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn notifications_have_the_layout_of_the_kernel_header() {
        let inode = Notification::InvalidateInode { inode: 3, offset: -1, length: 0 };
        let mut expected = vec![40, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0];
        expected.extend_from_slice(&[255; 8]);
        expected.extend_from_slice(&[0; 8]);
        assert_eq!(inode.to_bytes(), expected);

        let entry = Notification::InvalidateEntry { parent: 1, name: b"ab", expire_only: true };
        #[rustfmt::skip]
        assert_eq!(entry.to_bytes(), [
            35, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, b'a', b'b', 0,
        ]);

        let delete = Notification::Delete { parent: 1, child: 2, name: b"a" };
        #[rustfmt::skip]
        assert_eq!(delete.to_bytes(), [
            42, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, b'a', 0,
        ]);
    }
}
