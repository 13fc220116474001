//! Any bytes as a key of the metadata store.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../checks/metadata.rs"]
#[allow(dead_code)]
mod metadata;

fuzz_target!(|bytes: &[u8]| metadata::key(bytes));
