//! Any bytes as a value of the metadata store; the first one says of which kind.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../checks/metadata.rs"]
#[allow(dead_code)]
mod metadata;

fuzz_target!(|bytes: &[u8]| {
    if let Some((kind, bytes)) = bytes.split_first() {
        metadata::record(*kind, bytes);
    }
});
