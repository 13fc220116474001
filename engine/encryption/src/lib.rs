//! The keys of an encrypted volume: one volume key, wrapped by what its owner has, and a key of its own for each object.
//!
//! Relies on ring (AES-256-GCM, ChaCha20-Poly1305, HKDF), Argon2id and X25519. Never does I/O, never writes a key anywhere
//! in the clear; keys are wiped when they are dropped.
//!
//! ```text
//! passphrase ── Argon2id ──┐
//! key file ──── X25519 ────┼── wraps ──► volume key ── HKDF ──► key of object 1, key of object 2, …, key of values, of dumps, of cached files
//! KMS command ─────────────┘  (wrapped_key)            (sealing)
//! ```
//!
//! Rotating wraps the volume key anew; nothing is encrypted again.

// In tests a failed unwrap is a failed test, which is what it is for.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod key_file;
mod sealing;
mod volume_key;
mod wrapped_key;

pub use key_file::{KeyFile, KeyFileError};
pub use sealing::{CacheKey, NONCE_BYTES, NonceBase, SEAL_BYTES, SealingKey, StreamSalt, VolumeSealer, random_salt};
pub use volume_key::VolumeKey;
pub use wrapped_key::{KeyError, WrappedKey};

pub(crate) fn fill_random(bytes: &mut [u8]) {
    use ring::rand::SecureRandom;
    // Linux has had getrandom(2) for longer than io_uring; a system without it can't have started this program.
    ring::rand::SystemRandom::new().fill(bytes).expect("the kernel gives random bytes");
}
