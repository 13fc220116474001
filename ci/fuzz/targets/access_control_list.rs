//! Any bytes as an access control list: refused, or a list that is written as the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shoal_types::Acl;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Some(acl)) = Acl::parse(bytes) {
        assert_eq!(Acl::parse(&acl.to_bytes()), Ok(Some(acl.clone())));
        assert!(acl.mode() <= 0o777);
    }
});
