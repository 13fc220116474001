//! Names of one inode up to their number's end.

use crate::support::*;
use shoal_metadata::MetaError;
use shoal_metadata::keys::Key;
use shoal_metadata::records::Identity;
use shoal_types::{Errno, Ino};

#[test]
fn an_inode_has_as_many_names_as_an_int_can_count() {
    let volume = Volume::new();
    let ino = volume.file("f");
    let mut identity = Identity::decode(&volume.get(Key::Identity(ino)).unwrap()).unwrap();
    identity.nlink = i32::MAX as u32 - 1;
    volume.raw(move |transaction| transaction.put(&Key::Identity(ino).encode(), &identity.encode()));
    volume.link(ino, Ino::ROOT, "last").unwrap();
    assert_eq!(volume.link(ino, Ino::ROOT, "too many"), Err(MetaError::Refused(Errno::EMLINK)));
    volume.unlink("f", &[]);
    volume.link(ino, Ino::ROOT, "another").unwrap();
}
