//! Golden requests byte by byte, and the claim that no bytes whatever make the parser panic.

use super::*;
use crate::operation::{FileLock, SetAttributes, SetTime};
use proptest::prelude::*;
use shoal_types::Timestamp;

/// A message of this operation from user 10, group 20, process 30 about inode 5, unique 6.
fn message(code: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&((IN_HEADER_BYTES + body.len()) as u32).to_ne_bytes());
    bytes.extend_from_slice(&code.to_ne_bytes());
    bytes.extend_from_slice(&6u64.to_ne_bytes());
    bytes.extend_from_slice(&5u64.to_ne_bytes());
    for word in [10u32, 20, 30, 0] {
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    bytes.extend_from_slice(body);
    bytes
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn with(mut bytes: Vec<u8>, tail: &[u8]) -> Vec<u8> {
    bytes.extend_from_slice(tail);
    bytes
}

fn operation_of(message: &[u8]) -> Operation<'_> {
    Request::parse(message).expect("a sound message").operation
}

#[test]
#[cfg(target_endian = "little")]
fn a_lookup_is_read_byte_by_byte() {
    #[rustfmt::skip]
    let bytes = [
        44, 0, 0, 0, 1, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0,
        10, 0, 0, 0, 20, 0, 0, 0, 30, 0, 0, 0, 0, 0, 0, 0, b'a', b'b', b'c', 0,
    ];
    let header = Header { opcode: 1, unique: 6, nodeid: 5, uid: 10, gid: 20, pid: 30 };
    assert_eq!(Request::parse(&bytes), Ok(Request { header, operation: Operation::Lookup { name: b"abc" } }));
    assert_eq!(peek_opcode(&bytes), Some(1));
}

#[test]
fn names_follow_their_arguments_in_order() {
    let create = message(opcode::CREATE, &with(words(&[0o102, 0o100644, 0o22, 1]), b"f\0"));
    let expected = Operation::Create { name: b"f", flags: 0o102, mode: 0o100644, umask: 0o22 };
    assert_eq!(operation_of(&create), expected);

    let rename = message(opcode::RENAME2, &with(words(&[7, 0, 1, 0]), b"old\0new\0"));
    assert_eq!(operation_of(&rename), Operation::Rename { name: b"old", new_parent: 7, new_name: b"new", flags: 1 });

    let rename = message(opcode::RENAME, &with(words(&[7, 0]), b"old\0new\0"));
    assert_eq!(operation_of(&rename), Operation::Rename { name: b"old", new_parent: 7, new_name: b"new", flags: 0 });

    let symlink = message(opcode::SYMLINK, b"name\0/some/target\0");
    assert_eq!(operation_of(&symlink), Operation::Symlink { name: b"name", target: b"/some/target" });

    let setxattr = message(opcode::SETXATTR, &with(words(&[3, 1]), b"user.a\0\x01\x00\x02"));
    let (name, value) = (&b"user.a"[..], &[1, 0, 2][..]);
    assert_eq!(operation_of(&setxattr), Operation::Setxattr { name, value, flags: 1, kill_sgid: false });
    for kill_sgid in [false, true] {
        let words = words(&[3, 0, u32::from(kill_sgid), 0]);
        let setxattr = message(opcode::SETXATTR, &with(words, b"user.a\0\x01\x00\x02"));
        assert_eq!(operation_of(&setxattr), Operation::Setxattr { name, value, flags: 0, kill_sgid });
    }

    let mknod = message(opcode::MKNOD, &with(words(&[0o020600, 0x0501, 0o22, 0]), b"tty\0"));
    assert_eq!(operation_of(&mknod), Operation::Mknod { name: b"tty", mode: 0o020600, rdev: 0x0501, umask: 0o22 });
}

#[test]
fn a_write_carries_exactly_its_data() {
    let arguments = words(&[9, 0, 4096, 0, 3, 2, 8, 0, 0o1, 0]);
    let write = message(opcode::WRITE, &with(arguments.clone(), b"xyz"));
    let expected =
        Operation::Write { handle: 9, offset: 4096, data: b"xyz", write_flags: 2, lock_owner: Some(8), flags: 1 };
    assert_eq!(operation_of(&write), expected);
    assert_eq!(&write[crate::abi::WRITE_DATA_START..], b"xyz");
    let cut = message(opcode::WRITE, &with(arguments, b"xy"));
    assert_eq!(Request::parse(&cut), Err(Malformed { opcode: opcode::WRITE, unique: 6, errno: Errno::EIO }));
}

#[test]
fn setattr_names_only_what_changes() {
    let mut body = words(&[0, 0, 11, 0, 12, 0, 13, 0, 14, 0, u32::MAX, u32::MAX, 16, 0, 1, 2, 3, 0o600, 0, 70, 80, 0]);
    assert_eq!(operation_of(&message(opcode::SETATTR, &body)), Operation::Setattr(SetAttributes::default()));
    body[..4].copy_from_slice(&(0xfff_u32 & !(1 << 8)).to_ne_bytes());
    let expected = SetAttributes {
        mode: Some(0o600),
        uid: Some(70),
        gid: Some(80),
        size: Some(12),
        atime: Some(SetTime::Now),
        mtime: Some(SetTime::At(Timestamp::new(-1, 2))),
        ctime: Some(Timestamp::new(16, 3)),
        handle: Some(11),
        lock_owner: Some(13),
        kill_suidgid: true,
    };
    assert_eq!(operation_of(&message(opcode::SETATTR, &body)), Operation::Setattr(expected));
    // Byte 60 is the nanosecond field of mtime.
    body[60..64].copy_from_slice(&1_000_000_000_u32.to_ne_bytes());
    let refused = Request::parse(&message(opcode::SETATTR, &body)).expect_err("a second of nanoseconds");
    assert_eq!(refused.errno, Errno::EINVAL);
}

#[test]
fn locks_and_copies_are_read_whole() {
    let setlkw = message(opcode::SETLKW, &words(&[1, 0, 2, 0, 3, 0, 4, 0, 1, 99, 1, 0]));
    let lock = FileLock { start: 3, end: 4, kind: 1, pid: 99 };
    assert_eq!(operation_of(&setlkw), Operation::Setlk { handle: 1, owner: 2, lock, flock: true, wait: true });

    let arguments = words(&[1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0]);
    for (code, wide) in [(opcode::COPY_FILE_RANGE, false), (opcode::COPY_FILE_RANGE_64, true)] {
        let expected = Operation::CopyFileRange {
            handle: 1,
            offset: 2,
            target_inode: 3,
            target_handle: 4,
            target_offset: 5,
            length: 6,
            flags: 7,
            wide,
        };
        assert_eq!(operation_of(&message(code, &arguments)), expected);
    }
}

#[test]
fn a_batch_forgets_each_pair() {
    let batch = message(opcode::BATCH_FORGET, &words(&[2, 0, 5, 0, 1, 0, 6, 0, 2, 0]));
    let Operation::BatchForget(list) = operation_of(&batch) else { panic!("not a batch") };
    assert_eq!(list.iter().collect::<Vec<_>>(), [(5, 1), (6, 2)]);
    let short = message(opcode::BATCH_FORGET, &words(&[3, 0, 5, 0, 1, 0, 6, 0, 2, 0]));
    assert!(Request::parse(&short).is_err());
}

#[test]
fn init_of_every_age_is_understood() {
    let old = message(opcode::INIT, &words(&[7, 31, 4096, 0b1001]));
    let expected = crate::InitIn { major: 7, minor: 31, max_readahead: 4096, flags: 0b1001 };
    assert_eq!(operation_of(&old), Operation::Init(expected));
    let new = message(opcode::INIT, &words(&[7, 45, 4096, 1 << 30, 0b10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    let expected = crate::InitIn { major: 7, minor: 45, max_readahead: 4096, flags: 1 << 30 | 1 << 33 };
    assert_eq!(operation_of(&new), Operation::Init(expected));
}

#[test]
fn extensions_are_no_part_of_the_arguments() {
    let mut write = message(opcode::WRITE, &with(words(&[9, 0, 0, 0, 8, 0, 0, 0, 0, 0]), &[7; 16]));
    write[36..38].copy_from_slice(&1u16.to_ne_bytes());
    let Operation::Write { data, .. } = operation_of(&write) else { panic!("not a write") };
    assert_eq!(data, [7; 8]);
    write[36..38].copy_from_slice(&u16::MAX.to_ne_bytes());
    assert!(Request::parse(&write).is_err(), "more extension than message");
}

#[test]
fn names_that_are_none_are_refused() {
    for (body, errno) in
        [(&b"unended"[..], Errno::EIO), (b"", Errno::EIO), (b"\0", Errno::EINVAL), (b"a/b\0", Errno::EINVAL)]
    {
        let refused = Request::parse(&message(opcode::LOOKUP, body)).expect_err("no name");
        assert_eq!(refused, Malformed { opcode: opcode::LOOKUP, unique: 6, errno });
    }
}

#[test]
fn unknown_operations_keep_their_body() {
    for code in [opcode::SETUPMAPPING, opcode::REMOVEMAPPING, 4096, 0, u32::MAX] {
        assert_eq!(operation_of(&message(code, b"body")), Operation::Unknown { opcode: code, body: b"body" });
    }
}

#[test]
fn a_message_of_another_length_than_it_says_is_refused() {
    let lookup = message(opcode::LOOKUP, b"abc\0");
    for end in 0..lookup.len() {
        assert!(Request::parse(&lookup[..end]).is_err());
    }
    assert!(Request::parse(&with(lookup, b"\0")).is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Request::parse(&bytes);
    }

    /// Sound headers get past the first check, so that the bodies are reached.
    #[test]
    fn no_body_makes_the_parser_panic(
        code in 0u32..60,
        body in prop::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..200),
    ) {
        if let Ok(Request { operation: Operation::BatchForget(list), .. }) = Request::parse(&message(code, &body)) {
            let _ = list.iter().count();
        }
    }
}
