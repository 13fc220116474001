//! Key files: an X25519 private key in PKCS #8 (RFC 8410), in PEM, as `openssl genpkey -algorithm X25519` writes it.

use crate::fill_random;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

pub struct KeyFile(StaticSecret);

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyFileError {
    #[error("this is no private key in PEM form (-----BEGIN PRIVATE KEY-----); make one with shoal key new FILE")]
    NotPem,
    #[error("this private key is encrypted; decrypt it first: openssl pkey -in FILE -out NEW-FILE")]
    Encrypted,
    #[error("this private key is none for X25519; make one with openssl genpkey -algorithm X25519")]
    NotX25519,
}

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";
const BEGIN_ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";

/// DER of `PrivateKeyInfo`: version 0, algorithm 1.3.101.110 (X25519), and 32 bytes in an octet string in another.
const DER_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x04, 0x22, 0x04, 0x20];

impl KeyFile {
    pub fn generate() -> Self {
        let mut secret = Zeroizing::new([0; 32]);
        fill_random(&mut *secret);
        KeyFile(StaticSecret::from(*secret))
    }

    pub fn parse(text: &str) -> Result<Self, KeyFileError> {
        if text.contains(BEGIN_ENCRYPTED) {
            return Err(KeyFileError::Encrypted);
        }
        let (_, rest) = text.split_once(BEGIN).ok_or(KeyFileError::NotPem)?;
        let (body, _) = rest.split_once(END).ok_or(KeyFileError::NotPem)?;
        let body = Zeroizing::new(body.split_ascii_whitespace().collect::<String>());
        let der = Zeroizing::new(STANDARD.decode(&*body).map_err(|_| KeyFileError::NotPem)?);
        let secret = der.strip_prefix(&DER_PREFIX[..]).ok_or(KeyFileError::NotX25519)?;
        let secret = Zeroizing::new(<[u8; 32]>::try_from(secret).map_err(|_| KeyFileError::NotX25519)?);
        Ok(KeyFile(StaticSecret::from(*secret)))
    }

    /// What `parse` reads.
    pub fn to_pem(&self) -> Zeroizing<String> {
        let der = Zeroizing::new([&DER_PREFIX[..], self.0.as_bytes()].concat());
        Zeroizing::new(format!("{BEGIN}\n{}\n{END}\n", *Zeroizing::new(STANDARD.encode(&*der))))
    }

    pub(crate) fn public(&self) -> [u8; 32] {
        PublicKey::from(&self.0).to_bytes()
    }

    pub(crate) fn secret(&self) -> &StaticSecret {
        &self.0
    }
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyFile(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_comes_back_as_it_was() {
        let file = KeyFile::generate();
        assert_eq!(KeyFile::parse(&file.to_pem()).unwrap().secret().as_bytes(), file.secret().as_bytes());
    }

    #[test]
    fn the_key_of_rfc_8410_is_read() {
        // RFC 7748, 6.1: Alice's private and public key, the former in the form of RFC 8410.
        let pem = "-----BEGIN PRIVATE KEY-----\n\
                   MC4CAQAwBQYDK2VuBCIEIHcHbQpzGKV9PBbBclGyZkXfTC+H68CZKrF3+6UduSwq\n\
                   -----END PRIVATE KEY-----\n";
        let public: String = KeyFile::parse(pem).unwrap().public().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(public, "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
    }

    #[test]
    fn other_files_are_refused_by_what_they_are() {
        let refusal = |text: &str| KeyFile::parse(text).unwrap_err();
        assert_eq!(refusal("ssh-ed25519 AAAA"), KeyFileError::NotPem);
        assert_eq!(refusal(&format!("{BEGIN}\n!!!\n{END}\n")), KeyFileError::NotPem);
        assert_eq!(refusal(&format!("{BEGIN_ENCRYPTED}\nMC4C\n")), KeyFileError::Encrypted);
        // An Ed25519 key differs in one byte of the algorithm.
        let ed25519 = "MC4CAQAwBQYDK2VwBCIEIHcHbQpzGKV9PBbBclGyZkXfTC+H68CZKrF3+6UduSwq";
        assert_eq!(refusal(&format!("{BEGIN}\n{ed25519}\n{END}\n")), KeyFileError::NotX25519);
        assert_eq!(refusal(&format!("{BEGIN}\nMC4CAQAwBQYDK2VuBCIEIHcH\n{END}\n")), KeyFileError::NotX25519);
    }
}
