//! Limits of the volume as a whole.

use super::*;

#[test]
fn a_full_volume_says_so_to_everybody() {
    let volume = Volume::new();
    let file = volume.file("f");
    volume.set_quota(Account::Volume, Limits { bytes: Some(100), inodes: Some(3) });
    assert_eq!(volume.state_of(Account::Volume), Some(QuotaState::Active));
    let other = volume.try_create(Ino::ROOT, "g", FileKind::Regular, 0).unwrap();
    assert_eq!(volume.try_create(Ino::ROOT, "h", FileKind::Regular, 0), Err(ENOSPC));
    volume.try_write_inline(file, &[1; 100]).unwrap();
    assert_eq!(volume.try_write_inline(other, &[1; 1]), Err(ENOSPC));
    assert_eq!(volume.usage_of(Account::Volume), (100, 3));
    volume.unlink_in(Ino::ROOT, "f");
    assert_eq!(volume.try_create(Ino::ROOT, "h", FileKind::Regular, 0), Err(ENOSPC), "it still waits to be removed");
    volume.remove_queued();
    volume.try_create(Ino::ROOT, "h", FileKind::Regular, 0).unwrap();
    volume.try_write_inline(other, &[1; 1]).unwrap();
    volume.delete_quota(Account::Volume);
    volume.try_create(Ino::ROOT, "i", FileKind::Regular, 0).unwrap();
    volume.assert_counted();
}

#[test]
fn a_volume_is_made_with_its_limits() {
    let kv = shoal_kv::MemoryKv::new();
    let limits = inodes(1);
    let options = shoal_metadata::FormatOptions { limits, ..Default::default() };
    shoal_metadata::Metadata::format_with(kv.as_ref(), &crate::support::settings(), &options, (0, 0), at(1)).unwrap();
    let volume = Volume::join(kv);
    assert_eq!(volume.metadata.quota(Account::Volume).unwrap().limits, limits);
    assert!(volume.metadata.accounting().unwrap().any);
    assert_eq!(volume.try_create(Ino::ROOT, "a", FileKind::Regular, 0), Err(ENOSPC));
    volume.assert_counted();
}
