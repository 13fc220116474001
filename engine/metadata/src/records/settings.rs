//! The volume settings. The first byte is the schema of the whole volume, so that an older program refuses a newer
//! volume before it looks at anything else.

use super::{damaged, decode_cold, encode_cold};
use shoal_kv::{KvError, KvResult};
use shoal_types::{AlsoEncrypted, SCHEMA_VERSION, VolumeSettings};

pub fn encode_settings(settings: &VolumeSettings) -> Vec<u8> {
    assert_eq!(settings.schema, SCHEMA_VERSION, "only volumes of our own schema are written");
    if settings.also_encrypted != AlsoEncrypted::default() {
        return encode_cold(WITH_ALSO_ENCRYPTED, settings);
    }
    let mut bytes = encode_cold(SCHEMA, settings);
    bytes.truncate(bytes.len() - ALSO_ENCRYPTED_BYTES);
    bytes
}

pub fn decode_settings(bytes: &[u8]) -> KvResult<VolumeSettings> {
    if let Some(found) = bytes.first()
        && *found > WITH_ALSO_ENCRYPTED
    {
        return Err(KvError::Damaged(format!(
            "the volume has schema {found}, which is newer than this program (it knows {WITH_ALSO_ENCRYPTED}): use a newer one"
        )));
    }
    let settings: VolumeSettings = match bytes.first() {
        Some(&WITH_ALSO_ENCRYPTED) => decode_cold(WHAT, bytes, WITH_ALSO_ENCRYPTED)?,
        _ => decode_cold(WHAT, &[bytes, &[0; ALSO_ENCRYPTED_BYTES]].concat(), SCHEMA)?,
    };
    match settings.schema == SCHEMA_VERSION {
        true => Ok(settings),
        false => Err(damaged(WHAT, format!("schema {} inside, {SCHEMA} outside", settings.schema))),
    }
}

const WHAT: &str = "the volume settings";
const SCHEMA: u8 = SCHEMA_VERSION as u8;
/// The form that ends with what else is encrypted. Volumes that encrypt nothing else have the one without: programs that know
/// only that one can go on with them, and refuse the others.
const WITH_ALSO_ENCRYPTED: u8 = 2;
const ALSO_ENCRYPTED_BYTES: usize = 2;
const _: () = assert!(SCHEMA_VERSION <= u8::MAX as u32);
