//! The volume key as it is stored: wrapped by a passphrase, by a key file, or by somebody else's service.

use crate::{KeyFile, VolumeKey, fill_random};
use argon2::{Algorithm, Argon2, Params, Version};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf;
use serde::{Deserialize, Serialize};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

/// Holds no secret that its owner's passphrase, file or service does not open.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum WrappedKey {
    /// Argon2id (RFC 9106) makes a key of the passphrase, AES-256-GCM wraps with it.
    Passphrase { salt: [u8; 16], memory_kib: u32, passes: u32, lanes: u32, sealed: Vec<u8> },
    /// A fresh X25519 key (RFC 7748) agrees with the file's public key on a secret, HKDF-SHA-256 makes a key of it.
    KeyFile { recipient: [u8; 32], ephemeral: [u8; 32], sealed: Vec<u8> },
    /// What the KMS command made of the volume key.
    Kms { sealed: Vec<u8> },
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyError {
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    #[error("this is not the key file that the volume was encrypted with")]
    WrongKeyFile,
    #[error("the volume key is opened by {0}, not by what was given")]
    OtherKind(&'static str),
    #[error("the wrapped volume key is damaged")]
    Damaged,
}

/// The second recommended choice of RFC 9106, 4: 64 MiB, three passes, four lanes.
const MEMORY_KIB: u32 = 64 << 10;
const PASSES: u32 = 3;
const LANES: u32 = 4;
/// A record that asks for more is no record of ours.
const MEMORY_KIB_MAX: u32 = 4 << 20;
const PASSES_MAX: u32 = 64;

impl WrappedKey {
    /// `volume` is its UUID in text form; the wrapping is bound to it.
    pub fn by_passphrase(volume: &str, key: &VolumeKey, passphrase: &[u8]) -> Self {
        let mut salt = [0; 16];
        fill_random(&mut salt);
        let wrapping = stretch(passphrase, &salt, MEMORY_KIB, PASSES, LANES).expect("the parameters are within bounds");
        let sealed = seal(&wrapping, volume, key);
        WrappedKey::Passphrase { salt, memory_kib: MEMORY_KIB, passes: PASSES, lanes: LANES, sealed }
    }

    pub fn by_key_file(volume: &str, key: &VolumeKey, file: &KeyFile) -> Self {
        let mut secret = Zeroizing::new([0; 32]);
        fill_random(&mut *secret);
        let secret = StaticSecret::from(*secret);
        let ephemeral = PublicKey::from(&secret).to_bytes();
        let recipient = file.public();
        let wrapping = agree(&secret, recipient, ephemeral, recipient);
        WrappedKey::KeyFile { recipient, ephemeral, sealed: seal(&wrapping, volume, key) }
    }

    /// `sealed` is what the service made of the key's bytes.
    pub fn by_kms(sealed: Vec<u8>) -> Self {
        WrappedKey::Kms { sealed }
    }

    /// What opens it, in words for people.
    pub fn kind(&self) -> &'static str {
        match self {
            WrappedKey::Passphrase { .. } => "a passphrase (--passphrase-env)",
            WrappedKey::KeyFile { .. } => "a key file (--key-file)",
            WrappedKey::Kms { .. } => "a KMS command (--kms-command)",
        }
    }

    pub fn open_by_passphrase(&self, volume: &str, passphrase: &[u8]) -> Result<VolumeKey, KeyError> {
        let WrappedKey::Passphrase { salt, memory_kib, passes, lanes, sealed } = self else {
            return Err(KeyError::OtherKind(self.kind()));
        };
        if *memory_kib > MEMORY_KIB_MAX || *passes > PASSES_MAX {
            return Err(KeyError::Damaged);
        }
        let wrapping = stretch(passphrase, salt, *memory_kib, *passes, *lanes).ok_or(KeyError::Damaged)?;
        open(&wrapping, volume, sealed).ok_or(KeyError::WrongPassphrase)
    }

    pub fn open_by_key_file(&self, volume: &str, file: &KeyFile) -> Result<VolumeKey, KeyError> {
        let WrappedKey::KeyFile { recipient, ephemeral, sealed } = self else {
            return Err(KeyError::OtherKind(self.kind()));
        };
        if *recipient != file.public() {
            return Err(KeyError::WrongKeyFile);
        }
        let wrapping = agree(file.secret(), *ephemeral, *ephemeral, *recipient);
        open(&wrapping, volume, sealed).ok_or(KeyError::Damaged)
    }

    /// What the service is to open.
    pub fn kms_bytes(&self) -> Result<&[u8], KeyError> {
        match self {
            WrappedKey::Kms { sealed } => Ok(sealed),
            _ => Err(KeyError::OtherKind(self.kind())),
        }
    }
}

/// `None` when Argon2 does not take these parameters.
fn stretch(passphrase: &[u8], salt: &[u8], memory_kib: u32, passes: u32, lanes: u32) -> Option<Zeroizing<[u8; 32]>> {
    let parameters = Params::new(memory_kib, passes, lanes, Some(32)).ok()?;
    let mut key = Zeroizing::new([0; 32]);
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters);
    argon.hash_password_into(passphrase, salt, &mut *key).ok()?;
    Some(key)
}

/// The key on which `secret` and the owner of `other` agree. Both public keys are bound in.
fn agree(secret: &StaticSecret, other: [u8; 32], ephemeral: [u8; 32], recipient: [u8; 32]) -> Zeroizing<[u8; 32]> {
    let shared = secret.diffie_hellman(&PublicKey::from(other));
    let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, b"shoal key file").extract(shared.as_bytes());
    let info = [&ephemeral[..], &recipient[..]];
    let derived = extracted.expand(&info, hkdf::HKDF_SHA256).expect("a key is shorter than HKDF's bound");
    let mut key = Zeroizing::new([0; 32]);
    derived.fill(&mut *key).expect("SHA-256 gives 32 bytes");
    key
}

const NONCE_BYTES: usize = 12;

fn aead(wrapping: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, wrapping).expect("an AES-256 key has 32 bytes"))
}

fn seal(wrapping: &[u8; 32], volume: &str, key: &VolumeKey) -> Vec<u8> {
    let mut nonce = [0; NONCE_BYTES];
    fill_random(&mut nonce);
    let mut sealed = nonce.to_vec();
    let mut plain = Zeroizing::new(*key.as_bytes());
    let tag = aead(wrapping)
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(volume.as_bytes()), &mut *plain)
        .expect("32 bytes are far below the cipher's bound");
    sealed.extend_from_slice(&*plain);
    sealed.extend_from_slice(tag.as_ref());
    sealed
}

fn open(wrapping: &[u8; 32], volume: &str, sealed: &[u8]) -> Option<VolumeKey> {
    let (nonce, rest) = sealed.split_first_chunk::<NONCE_BYTES>()?;
    let mut rest = Zeroizing::new(rest.to_vec());
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let plain = aead(wrapping).open_in_place(nonce, Aad::from(volume.as_bytes()), &mut rest).ok()?;
    VolumeKey::from_bytes(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_opens_what_it_wrapped_and_no_other_does() {
        let key = VolumeKey::generate();
        let wrapped = WrappedKey::by_passphrase("v", &key, b"open sesame");
        assert_eq!(wrapped.open_by_passphrase("v", b"open sesame"), Ok(key));
        assert_eq!(wrapped.open_by_passphrase("v", b"open barley"), Err(KeyError::WrongPassphrase));
        assert_eq!(wrapped.open_by_passphrase("w", b"open sesame"), Err(KeyError::WrongPassphrase));
        let other = wrapped.open_by_key_file("v", &KeyFile::generate());
        assert!(other.unwrap_err().to_string().contains("passphrase"));
    }

    #[test]
    fn a_key_file_opens_what_it_wrapped_and_no_other_does() {
        let key = VolumeKey::generate();
        let file = KeyFile::generate();
        let wrapped = WrappedKey::by_key_file("v", &key, &file);
        assert_eq!(wrapped.open_by_key_file("v", &file), Ok(key));
        assert_eq!(wrapped.open_by_key_file("v", &KeyFile::generate()), Err(KeyError::WrongKeyFile));
        assert_eq!(wrapped.open_by_key_file("w", &file), Err(KeyError::Damaged));
    }

    #[test]
    fn two_wrappings_of_one_key_have_nothing_in_common() {
        let key = VolumeKey::generate();
        let file = KeyFile::generate();
        assert_ne!(WrappedKey::by_key_file("v", &key, &file), WrappedKey::by_key_file("v", &key, &file));
    }

    #[test]
    fn a_record_that_asks_for_the_whole_memory_is_refused() {
        let wrapped =
            WrappedKey::Passphrase { salt: [0; 16], memory_kib: u32::MAX, passes: 1, lanes: 1, sealed: Vec::new() };
        assert_eq!(wrapped.open_by_passphrase("v", b"x"), Err(KeyError::Damaged));
    }
}
