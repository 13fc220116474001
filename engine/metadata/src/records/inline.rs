//! Plain bytes behind a format byte: a small file's content, a symlink's target.

use super::body;
use shoal_kv::KvResult;

pub fn encode_content(content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + content.len());
    bytes.push(FORMAT);
    bytes.extend_from_slice(content);
    bytes
}

pub fn decode_content(mut bytes: Vec<u8>) -> KvResult<Vec<u8>> {
    body("inline content", &bytes, FORMAT)?;
    bytes.remove(0);
    Ok(bytes)
}

const FORMAT: u8 = 1;
