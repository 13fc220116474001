//! Any bytes as an entry of a FUSE ring: parsed or refused, never a panic, never parts from outside the entry.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shoal_fuse_protocol::ring::{HEADER_BYTES, RingRequest};

fuzz_target!(|bytes: &[u8]| {
    let Some((header, payload)) = bytes.split_first_chunk::<HEADER_BYTES>() else { return };
    let Some(request) = RingRequest::parse(header, payload) else { return };
    assert!(request.length() <= bytes.len());
    assert!(request.payload.len() <= payload.len());
});
