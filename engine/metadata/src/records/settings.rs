//! The volume settings. The first byte is the schema of the whole volume, so that an older program refuses a newer
//! volume before it looks at anything else.

use super::{body, damaged, decode_cold, encode_cold};
use shoal_kv::{KvError, KvResult};
use shoal_types::{SCHEMA_VERSION, VolumeSettings};

pub fn encode_settings(settings: &VolumeSettings) -> Vec<u8> {
    assert_eq!(settings.schema, SCHEMA_VERSION, "only volumes of our own schema are written");
    encode_cold(SCHEMA, settings)
}

pub fn decode_settings(bytes: &[u8]) -> KvResult<VolumeSettings> {
    if let Some(found) = bytes.first()
        && *found > SCHEMA
    {
        return Err(KvError::Damaged(format!(
            "the volume has schema {found}, which is newer than this program (it knows {SCHEMA}): use a newer one"
        )));
    }
    body(WHAT, bytes, SCHEMA)?;
    let settings: VolumeSettings = decode_cold(WHAT, bytes, SCHEMA)?;
    match settings.schema == SCHEMA_VERSION {
        true => Ok(settings),
        false => Err(damaged(WHAT, format!("schema {} inside, {SCHEMA} outside", settings.schema))),
    }
}

const WHAT: &str = "the volume settings";
const SCHEMA: u8 = SCHEMA_VERSION as u8;
const _: () = assert!(SCHEMA_VERSION <= u8::MAX as u32);
