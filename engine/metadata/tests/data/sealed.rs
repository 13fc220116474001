//! What an encrypted volume keeps in its metadata.

use crate::support::*;
use shoal_encryption::{VolumeKey, VolumeSealer};
use shoal_kv::contract::ContractStore;
use shoal_kv::{Kv, MemoryKv, MemoryOptions, MemoryStore};
use shoal_metadata::check;
use shoal_metadata::keys::Key;
use shoal_metadata::{FormatOptions, MetaError, MetaOp, Metadata, SealedKv, SetXattr};
use shoal_types::{AlsoEncrypted, Cipher, Errno, FileKind, Ino, XattrMode, XattrName};
use std::sync::Arc;

const ALSO: AlsoEncrypted = AlsoEncrypted { symlinks: true, xattrs: true };

/// A volume, and the same as somebody sees it who has no key.
fn sealed() -> (Volume, Volume) {
    let raw = MemoryKv::new();
    let volume = Volume::on(sealed_by(raw.clone(), &VolumeKey::generate()));
    let session = volume.session;
    (volume, Volume { metadata: Metadata::new(raw), session })
}

fn sealed_by(kv: Arc<dyn Kv>, key: &VolumeKey) -> Arc<dyn Kv> {
    Arc::new(SealedKv::new(kv, ALSO, &VolumeSealer::new(Cipher::Aes256Gcm, key, &settings().uuid)))
}

fn content(volume: &Volume, ino: Ino) -> Result<Vec<u8>, MetaError> {
    Ok(volume.metadata.get_content(ino)?.inline.unwrap_or_default())
}

#[test]
fn inline_content_is_read_and_patched_and_nobody_without_the_key_sees_it() {
    let (volume, raw) = sealed();
    let file = volume.file("f");
    volume.write_inline(file, 0, b"attack at dawn");
    volume.write_inline(file, 10, b"dusk");
    assert_eq!(content(&volume, file).unwrap(), b"attack at dusk");
    volume.truncate(file, 6);
    assert_eq!(content(&volume, file).unwrap(), b"attack");
    let stored = raw.get(Key::Inline(file)).unwrap();
    assert!(!stored.windows(4).any(|window| window == b"atta"), "{stored:?}");
    let report = check::run(&volume.metadata, &mut |_| ()).unwrap();
    assert_eq!(report.findings, []);
}

#[test]
fn without_the_key_content_can_be_counted_and_removed_and_not_written() {
    let (volume, raw) = sealed();
    let file = volume.file("f");
    volume.write_inline(file, 0, b"secret");
    let metadata = Metadata::new(Arc::new(SealedKv::without_key(raw.metadata.kv().clone(), ALSO)));
    let without = Volume { metadata, session: volume.session };
    assert_eq!(content(&without, file).unwrap(), [0; 6]);
    assert_eq!(check::run(&without.metadata, &mut |_| ()).unwrap().findings, []);
    let refused = without.try_write_inline(file, b"x").unwrap_err();
    assert!(refused.to_string().contains("without its key"), "{refused}");
    assert_eq!(content(&volume, file).unwrap(), b"secret");
    without.unlink("f", &[]);
    without.remove_queued();
    assert_eq!(check::run(&without.metadata, &mut |_| ()).unwrap().findings, []);
}

#[test]
fn targets_and_attributes_are_sealed_where_the_volume_says_so_and_acls_never() {
    let (volume, raw) = sealed();
    let link = volume.create(Ino::ROOT, "link", FileKind::Symlink);
    let set = |name: &'static [u8], value: &[u8]| {
        volume.run(MetaOp::SetXattr(SetXattr {
            ino: link,
            name: XattrName::new(name).unwrap(),
            value: value.to_vec(),
            mode: XattrMode::Any,
            drop_setgid: false,
            session: volume.session,
            now: at(3),
        }));
    };
    set(b"trusted.note", b"at the pier");
    let holds = |key: Key, text: &[u8]| raw.get(key).unwrap().windows(text.len()).any(|window| window == text);
    assert!(!holds(Key::Target(link), b"somewhere") && !holds(Key::Xattr(link, b"trusted.note"), b"pier"));
    assert_eq!(volume.metadata.read_link(link).unwrap(), b"somewhere");
    assert_eq!(volume.metadata.get_xattr(link, &XattrName::new(b"trusted.note").unwrap()).unwrap(), b"at the pier");
    // Other parts of the program write and read these as they are.
    let acl = Key::Xattr(link, b"system.posix_acl_access").encode();
    volume.raw(move |transaction| transaction.put(&acl, b"who may do what"));
    assert!(holds(Key::Xattr(link, b"system.posix_acl_access"), b"who may do what"));
    volume.raw(move |transaction| transaction.delete(&Key::Xattr(link, b"system.posix_acl_access").encode()));
    // Without the key lengths are known, and so all is found to be sound.
    let metadata = Metadata::new(Arc::new(SealedKv::without_key(raw.metadata.kv().clone(), ALSO)));
    assert_eq!(check::run(&metadata, &mut |_| ()).unwrap().findings, []);
    assert_eq!(metadata.read_link(link).unwrap(), [0; 9]);
    // A volume that does not say so.
    let none = AlsoEncrypted::default();
    let sealer = VolumeSealer::new(Cipher::Aes256Gcm, &VolumeKey::generate(), &settings().uuid);
    let plain = MemoryKv::new();
    let volume = Volume::on(Arc::new(SealedKv::new(plain.clone(), none, &sealer)));
    let link = volume.create(Ino::ROOT, "link", FileKind::Symlink);
    let raw = Volume { metadata: Metadata::new(plain), session: volume.session };
    assert!(raw.get(Key::Target(link)).unwrap().ends_with(b"somewhere"));
}

#[test]
fn content_moved_to_another_inode_or_changed_is_refused() {
    let (volume, raw) = sealed();
    let (one, other) = (volume.file("one"), volume.file("other"));
    volume.write_inline(one, 0, b"of one");
    volume.write_inline(other, 0, b"of other");
    let stored = raw.get(Key::Inline(one)).unwrap();
    raw.raw(move |transaction| transaction.put(&Key::Inline(other).encode(), &stored));
    let refused = content(&volume, other).unwrap_err();
    assert!(refused.to_string().contains("sealed"), "{refused}");
    assert_eq!(content(&volume, one).unwrap(), b"of one");
    raw.raw(move |transaction| {
        let mut stored = transaction.get(&Key::Inline(one).encode()).unwrap().unwrap();
        *stored.last_mut().unwrap() ^= 1;
        transaction.put(&Key::Inline(one).encode(), &stored);
    });
    assert!(content(&volume, one).is_err());
}

#[test]
fn another_key_opens_nothing() {
    let raw = MemoryKv::new();
    let volume = Volume::on(sealed_by(raw.clone(), &VolumeKey::generate()));
    let file = volume.file("f");
    volume.write_inline(file, 0, b"secret");
    let other = Volume::join(sealed_by(raw, &VolumeKey::generate()));
    assert!(content(&other, file).is_err());
}

#[test]
fn a_wrapping_is_replaced_by_whoever_knows_the_old_one() {
    use shoal_encryption::WrappedKey;
    let kv: Arc<dyn Kv> = MemoryKv::new();
    let key = |byte| WrappedKey::by_kms(vec![byte; 3]);
    let settings = shoal_types::VolumeSettings { cipher: Some(Cipher::Aes256Gcm), ..settings() };
    let options = FormatOptions { key: Some(key(1)), ..Default::default() };
    Metadata::format_with(kv.as_ref(), &settings, &options, (0, 0), at(1)).unwrap();
    assert_eq!(Metadata::wrapped_key(kv.as_ref()).unwrap(), Some(key(1)));
    Metadata::replace_wrapped_key(kv.as_ref(), &key(1), &key(2)).unwrap();
    let late = Metadata::replace_wrapped_key(kv.as_ref(), &key(1), &key(3));
    assert_eq!(late, Err(MetaError::Refused(Errno::EAGAIN)));
    assert_eq!(Metadata::wrapped_key(kv.as_ref()).unwrap(), Some(key(2)));
}

struct SealedStore(MemoryStore, VolumeKey);

impl ContractStore for SealedStore {
    fn client(&self) -> Arc<dyn Kv> {
        sealed_by(self.0.client(), &self.1)
    }
}

shoal_kv::contract_tests!(|| {
    let store = MemoryStore::new(MemoryOptions::default());
    Box::new(SealedStore(store, VolumeKey::generate())) as Box<dyn ContractStore>
});
