//! Sealing bytes with keys that are derived from the volume key: `nonce (12) | ciphertext | tag (16)`.
//!
//! A derived key is HKDF-SHA-256 (RFC 5869) of the volume key, with the volume's UUID as salt and the purpose as info. So a
//! key of its own for each object costs no stored byte and no request, and what is sealed is bound to volume and object
//! by the key itself.
//!
//! Nonces are random, so that content sealed twice under one object number is no breach. AES-GCM bears 2^32 messages a key
//! with random nonces (NIST SP 800-38D, 8.3); an object has 512 at most, and the key of values is used once a commit.

use crate::{VolumeKey, fill_random};
use ring::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf;
use shoal_types::{Cipher, Ino, ObjectId};
use std::fmt;

/// Before the ciphertext.
pub const NONCE_BYTES: usize = aead::NONCE_LEN;
const TAG_BYTES: usize = 16;

/// What sealing adds to the plain bytes.
pub const SEAL_BYTES: usize = NONCE_BYTES + TAG_BYTES;

/// Makes the key of a stream one that nothing else has been sealed under.
pub type StreamSalt = [u8; 16];

pub fn random_salt() -> StreamSalt {
    let mut salt = StreamSalt::default();
    fill_random(&mut salt);
    salt
}

/// Derives the keys of one volume. Cheap to clone; on any thread.
#[derive(Clone)]
pub struct VolumeSealer {
    cipher: Cipher,
    secret: hkdf::Prk,
}

/// Seals and opens under one derived key.
pub struct SealingKey(LessSafeKey);

/// Hides bytes without making them longer: what is stored is the plain bytes under the cipher's key stream. No tag is kept,
/// so damage must be told by other means, and forgery is not.
pub struct CacheKey(LessSafeKey);

/// One random number for the nonces of an object's frames: the frame's number is laid over its last four bytes.
#[derive(Clone, Copy)]
pub struct NonceBase([u8; NONCE_BYTES]);

impl VolumeSealer {
    /// `volume` is its UUID in text form.
    pub fn new(cipher: Cipher, key: &VolumeKey, volume: &str) -> Self {
        let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, volume.as_bytes()).extract(key.as_bytes());
        VolumeSealer { cipher, secret }
    }

    pub fn cipher(&self) -> Cipher {
        self.cipher
    }

    /// For the frames of one object.
    pub fn object(&self, object: ObjectId) -> SealingKey {
        self.derive(&[b"shoal object", &object.0.to_le_bytes()])
    }

    /// For values in the metadata store that hold content of files.
    pub fn values(&self) -> SealingKey {
        self.derive(&[b"shoal values"])
    }

    /// For one stream of bytes outside of objects, such as a dump. `salt` is of `random_salt`, kept beside the stream.
    pub fn stream(&self, salt: &StreamSalt) -> SealingKey {
        self.derive(&[b"shoal stream", salt])
    }

    /// For what a host keeps of one inode in its local cache.
    pub fn cache(&self, ino: Ino) -> CacheKey {
        CacheKey(self.derive(&[b"shoal cache", &ino.0.to_le_bytes()]).0)
    }

    fn derive(&self, purpose: &[&[u8]]) -> SealingKey {
        let algorithm = match self.cipher {
            Cipher::Aes256Gcm => &aead::AES_256_GCM,
            Cipher::ChaCha20Poly1305 => &aead::CHACHA20_POLY1305,
        };
        // The cipher is part of the purpose: no key is used with two.
        let cipher = self.cipher.to_string();
        let purpose: Vec<&[u8]> = [cipher.as_bytes()].into_iter().chain(purpose.iter().copied()).collect();
        let derived = self.secret.expand(&purpose, algorithm).expect("a key is shorter than HKDF's bound");
        SealingKey(LessSafeKey::new(UnboundKey::from(derived)))
    }
}

impl fmt::Debug for VolumeSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VolumeSealer({})", self.cipher)
    }
}

impl NonceBase {
    pub fn random() -> Self {
        let mut base = [0; NONCE_BYTES];
        fill_random(&mut base);
        NonceBase(base)
    }

    fn at(self, number: u32) -> [u8; NONCE_BYTES] {
        let mut nonce = self.0;
        for (byte, over) in nonce[NONCE_BYTES - 4..].iter_mut().zip(number.to_be_bytes()) {
            *byte ^= over;
        }
        nonce
    }
}

impl SealingKey {
    /// Appends the sealed form of `parts`, one after the other. `number` must be new for this key and base.
    pub fn seal(&self, base: NonceBase, number: u32, bound: &[u8], parts: &[&[u8]], sealed: &mut Vec<u8>) {
        let nonce = base.at(number);
        let plain_bytes: usize = parts.iter().map(|part| part.len()).sum();
        sealed.reserve(SEAL_BYTES + plain_bytes);
        sealed.extend_from_slice(&nonce);
        let start = sealed.len();
        parts.iter().for_each(|part| sealed.extend_from_slice(part));
        let tag = self
            .0
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(bound), &mut sealed[start..])
            .expect("what is sealed is far shorter than the ciphers' bounds");
        sealed.extend_from_slice(tag.as_ref());
    }

    /// Decrypts in place and tells where the plain bytes lie. `None`: these bytes were not sealed under this key and
    /// with the same `bound`, or were changed; nothing about them can be believed.
    pub fn open<'a>(&self, bound: &[u8], sealed: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let (nonce, rest) = sealed.split_first_chunk_mut::<NONCE_BYTES>()?;
        self.0.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(bound), rest).ok()
    }
}

impl CacheKey {
    /// Turns plain bytes into stored ones and stored ones into plain ones. A nonce is for one content only: whoever sees two
    /// under the same one sees what they differ by.
    pub fn turn(&self, nonce: [u8; NONCE_BYTES], bytes: &mut [u8]) {
        // Sealing what is sealed lays the same key stream over it once more.
        let sealed = self.0.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), bytes);
        let _tag = sealed.expect("what is sealed is far shorter than the ciphers' bounds");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CIPHERS: [Cipher; 2] = [Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305];

    fn sealed(key: &SealingKey, bound: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::new();
        let (one, other) = plain.split_at(plain.len() / 2);
        key.seal(NonceBase::random(), 7, bound, &[one, other], &mut sealed);
        sealed
    }

    #[test]
    fn what_was_sealed_opens_and_every_flipped_bit_is_refused() {
        for cipher in CIPHERS {
            let key = VolumeSealer::new(cipher, &VolumeKey::generate(), "v").object(ObjectId(1));
            let intact = sealed(&key, b"bound", b"some bytes");
            assert_eq!(intact.len(), b"some bytes".len() + SEAL_BYTES);
            assert_eq!(key.open(b"bound", &mut intact.clone()).unwrap(), b"some bytes");
            assert!(key.open(b"other", &mut intact.clone()).is_none());
            for bit in 0..intact.len() * 8 {
                let mut flipped = intact.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(key.open(b"bound", &mut flipped).is_none(), "{cipher}, bit {bit}");
            }
            for length in 0..intact.len() {
                assert!(key.open(b"bound", &mut intact[..length].to_vec()).is_none(), "{cipher}, {length} bytes");
            }
        }
    }

    #[test]
    fn each_object_volume_cipher_and_purpose_has_a_key_of_its_own() {
        let key = VolumeKey::generate();
        let of = |cipher, volume: &str| VolumeSealer::new(cipher, &key, volume);
        let sealed = sealed(&of(CIPHERS[0], "v").object(ObjectId(1)), b"", b"some bytes");
        let others = [
            of(CIPHERS[0], "v").object(ObjectId(2)),
            of(CIPHERS[0], "w").object(ObjectId(1)),
            of(CIPHERS[1], "v").object(ObjectId(1)),
            of(CIPHERS[0], "v").values(),
            of(CIPHERS[0], "v").stream(&[1; 16]),
            VolumeSealer::new(CIPHERS[0], &VolumeKey::generate(), "v").object(ObjectId(1)),
        ];
        for other in others {
            assert!(other.open(b"", &mut sealed.clone()).is_none());
        }
        assert!(of(CIPHERS[0], "v").object(ObjectId(1)).open(b"", &mut sealed.clone()).is_some());
    }

    #[test]
    fn what_is_turned_twice_is_plain_again_for_the_same_inode_and_nonce_only() {
        for cipher in CIPHERS {
            let sealer = VolumeSealer::new(cipher, &VolumeKey::generate(), "v");
            let turned = |ino, nonce, bytes: &[u8]| {
                let mut bytes = bytes.to_vec();
                sealer.cache(Ino(ino)).turn([nonce; NONCE_BYTES], &mut bytes);
                bytes
            };
            let plain = [7; 100];
            let stored = turned(1, 1, &plain);
            assert_ne!(stored, plain, "{cipher}");
            assert_eq!(turned(1, 1, &stored), plain);
            assert_ne!(turned(2, 1, &stored), plain);
            assert_ne!(turned(1, 2, &stored), plain);
        }
    }

    #[test]
    fn numbers_of_one_base_make_different_nonces() {
        let base = NonceBase::random();
        let nonces: std::collections::HashSet<_> = (0..1000).map(|number| base.at(number)).collect();
        assert_eq!(nonces.len(), 1000);
    }

    /// The derivation and the layout are stored for ever. The bytes were made by other programs (HKDF and AEADs of OpenSSL).
    #[test]
    fn derivation_and_layout_are_what_they_were() {
        let key = VolumeKey::from_bytes(&[0x42; 32]).unwrap();
        for (cipher, golden) in [
            (CIPHERS[0], "000102030405060708090a0b3164a23607faf451fe538b52596c77251fb582325c"),
            (CIPHERS[1], "000102030405060708090a0b3d98e3ab50ffef2a2fb791695d291e8776679b2bb5"),
        ] {
            let sealer = VolumeSealer::new(cipher, &key, "0b0b0b0b-0000-4000-8000-000000000000").object(ObjectId(5));
            let mut sealed = Vec::new();
            let nonce = NonceBase([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
            sealer.seal(nonce, 0, b"bound", &[b"shoal"], &mut sealed);
            let hex: String = sealed.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, golden, "{cipher}");
        }
    }
}
