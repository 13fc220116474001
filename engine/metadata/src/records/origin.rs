//! Where something in the trash was removed from, for a name that is too long to stand in its name there: format, the
//! directory (8), the name.

use super::fields::u64_at;
use super::{body, damaged};
use shoal_kv::KvResult;
use shoal_types::{Ino, Name};

pub fn encode_origin(parent: Ino, name: &Name) -> Vec<u8> {
    [&[FORMAT][..], &parent.0.to_le_bytes(), name.as_bytes()].concat()
}

pub fn decode_origin(bytes: &[u8]) -> KvResult<(Ino, Name)> {
    let rest = body(WHAT, bytes, FORMAT)?;
    if rest.len() < 8 {
        return Err(damaged(WHAT, format!("only {} bytes", bytes.len())));
    }
    let name = Name::new(&rest[8..]).map_err(|_| damaged(WHAT, "no name that a file can have".into()))?;
    Ok((Ino(u64_at(rest, 0)), name))
}

const WHAT: &str = "the origin of a removed file";
const FORMAT: u8 = 1;
