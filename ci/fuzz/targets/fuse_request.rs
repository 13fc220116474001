//! Any bytes as a FUSE request: parsed or refused, never a panic, and never a slice from outside the message. The same of
//! an access control list in one, and of what our own programs and the daemon say to each other.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shoal_fuse_protocol::control::ControlRequest;
use shoal_fuse_protocol::{CloneOut, CloneRequest, Config, FlagsRequest, IoctlRequest, Operation, Request, negotiate};
use shoal_types::{Acl, InodeFlags, XattrName};

fuzz_target!(|bytes: &[u8]| {
    let Ok(request) = Request::parse(bytes) else { return };
    match request.operation {
        Operation::Lookup { name } => assert!(!name.is_empty() && !name.contains(&0) && !name.contains(&b'/')),
        Operation::Write { data, .. } => assert!(bytes.as_ptr_range().contains(&data.as_ptr()) || data.is_empty()),
        Operation::BatchForget(list) => assert!(list.iter().count() * 16 <= bytes.len()),
        Operation::Init(offer) => {
            let _ = negotiate(&offer, &Config::default());
        }
        Operation::Ioctl { command, input, .. } => {
            use ControlRequest::{RemoveTree, TrashOrigin};
            match IoctlRequest::parse(command, input) {
                Ok(IoctlRequest::Control(RemoveTree { name, .. } | TrashOrigin { name })) => {
                    assert!(name.len() <= input.len());
                }
                Ok(IoctlRequest::Clone(CloneRequest::Begin { name })) => {
                    assert!(!name.as_bytes().contains(&0) && !name.as_bytes().contains(&b'/'));
                }
                Ok(IoctlRequest::Flags(FlagsRequest::Set { flags, .. })) => {
                    assert_eq!(flags.without(InodeFlags::BY_USERS).0, 0)
                }
                _ => {}
            }
            let _ = CloneOut::decode(input);
        }
        // Other front ends pass values on that no kernel has looked at.
        Operation::Setxattr { name, value, .. } => {
            if let Ok(name) = XattrName::new(name) {
                assert!(!name.as_bytes().contains(&0));
            }
            if let Ok(Some(acl)) = Acl::parse(value) {
                assert_eq!(Acl::parse(&acl.to_bytes()), Ok(Some(acl)));
            }
        }
        _ => {}
    }
});
