//! Any bytes as a FUSE request: parsed or refused, never a panic, and never a slice from outside the message.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shoal_fuse_protocol::{Config, Operation, Request, negotiate};

fuzz_target!(|bytes: &[u8]| {
    let Ok(request) = Request::parse(bytes) else { return };
    match request.operation {
        Operation::Lookup { name } => assert!(!name.is_empty() && !name.contains(&0) && !name.contains(&b'/')),
        Operation::Write { data, .. } => assert!(bytes.as_ptr_range().contains(&data.as_ptr()) || data.is_empty()),
        Operation::BatchForget(list) => assert!(list.iter().count() * 16 <= bytes.len()),
        Operation::Init(offer) => {
            let _ = negotiate(&offer, &Config::default());
        }
        _ => {}
    }
});
