//! Any bytes as a stored object, and as the answer to a fetch of a part of one.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../checks/objects.rs"]
mod objects;

fuzz_target!(|bytes: &[u8]| {
    objects::whole(bytes);
    objects::part(bytes);
});
