//! The bytes of every record, checked in: what one version has written, every later one reads. Changing a vector means
//! writing a decision about the format.

use super::*;
use crate::feed::{Change, Event};
use crate::{
    Appended, CloneProgress, CloneRefusal, Copied, Emptied, Fallocated, Limits, LockOutcome, LockRanges, MetaReply,
    QuotaState, Removed, Renamed, Truncated,
};
use shoal_types::{
    AlsoEncrypted, Attributes, Cipher, Compression, Consistency, Errno, FileKind, Ino, InodeFlags, LockMode, LockRange,
    LockSpace, Name, ObjectId, ObjectKind, SCHEMA_VERSION, SessionId, Slice, Timestamp, VolumeSettings, XattrName,
};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The record has these bytes, and they decode to it; of another format they don't.
fn check<T: PartialEq + std::fmt::Debug>(
    record: &T,
    golden: &str,
    encode: impl Fn(&T) -> Vec<u8>,
    decode: impl Fn(&[u8]) -> KvResult<T>,
) {
    let bytes = encode(record);
    assert_eq!(hex(&bytes), golden, "{record:?}");
    assert_eq!(decode(&bytes).as_ref(), Ok(record));
    let mut other_format = bytes.clone();
    other_format[0] = 0x7f;
    let refusal = decode(&other_format).expect_err("an unknown format is refused").to_string();
    assert!(refusal.contains("newer"), "{refusal}");
    other_format[0] = 0;
    assert!(decode(&other_format).is_err(), "{record:?} of format 0");
    check_damaged(&bytes, &encode, &decode);
}

/// Cut anywhere or with any byte changed it is refused, or read as something that is written and read again: never a panic.
fn check_damaged<T: PartialEq + std::fmt::Debug>(
    bytes: &[u8],
    encode: &impl Fn(&T) -> Vec<u8>,
    decode: &impl Fn(&[u8]) -> KvResult<T>,
) {
    let again = |damaged: &[u8]| {
        if let Ok(record) = decode(damaged) {
            assert_eq!(decode(&encode(&record)).as_ref(), Ok(&record), "of {damaged:02x?}");
        }
    };
    for at in 0..bytes.len() {
        again(&bytes[..at]);
        for value in [0, 1, 0x7f, 0x80, 0xff, bytes[at].wrapping_add(1)] {
            let mut damaged = bytes.to_vec();
            damaged[at] = value;
            again(&damaged);
        }
    }
}

/// Also for records whose length is checked: cut anywhere or with a byte more they are refused.
fn check_exact<T: PartialEq + std::fmt::Debug>(
    record: &T,
    golden: &str,
    encode: impl Fn(&T) -> Vec<u8>,
    decode: impl Fn(&[u8]) -> KvResult<T>,
) {
    let bytes = encode(record);
    check(record, golden, encode, &decode);
    for length in 0..bytes.len() {
        assert!(decode(&bytes[..length]).is_err(), "{record:?} cut to {length} bytes");
    }
    assert!(decode(&[&bytes[..], &[0]].concat()).is_err(), "{record:?} with a byte more");
}

fn identity() -> Identity {
    Identity {
        kind: FileKind::Regular,
        mode: 0o4755,
        uid: 0x0102_0304,
        gid: 0x1112_1314,
        rdev: 0x2122_2324,
        flags: InodeFlags(0x3132_3334),
        parent: Ino(0x4142_4344_4546_4748),
        generation: 0x5152_5354_5556_5758,
        nlink: 0x6162_6364,
        truncation_epoch: 0x7172_7374_7576_7778,
        atime: Timestamp::new(-1, 1),
        mtime: Timestamp::new(0x0102_0304_0506, 0x0708_090a),
        ctime: Timestamp::new(3, 999_999_999),
        btime: Timestamp::new(4, 0),
        quota: Some(Ino(0x0102_0304_0506_0708)),
        owners: 0x1112_1314,
        linked: true,
    }
}

fn attributes() -> Attributes {
    Attributes {
        ino: Ino(300),
        kind: FileKind::Symlink,
        flags: InodeFlags::XATTRS,
        mode: 0o777,
        uid: 1000,
        gid: 1001,
        rdev: 0,
        nlink: 1,
        length: 5,
        allocated: 0,
        atime: Timestamp::new(-1, 1),
        mtime: Timestamp::new(2, 2),
        ctime: Timestamp::new(3, 3),
        btime: Timestamp::new(4, 4),
    }
}

fn slices() -> Vec<Slice> {
    let block = Slice {
        position: 0x0010_2030,
        length: 0x0001_0203,
        object: ObjectId(0x0102_0304_0506_0708),
        object_offset: 0x11,
        object_length: 0x0020_0000,
        kind: ObjectKind::Block,
    };
    vec![block, Slice::hole(7, 9), Slice { kind: ObjectKind::Pack, ..block }]
}

#[test]
fn an_identity_has_its_golden_bytes() {
    check_exact(
        &identity(),
        "0101ed090403020114131211242322213433323148474645444342415857565554535251646362617877767574737271\
         ffffffffffffffff0100000006050403020100000a0908070300000000000000ffc99a3b040000000000000000000000\
         08070605040302011413121101",
        Identity::encode,
        Identity::decode,
    );
}

#[test]
fn a_directory_entry_has_its_golden_bytes() {
    let dirent = Dirent { ino: Ino(0x0102_0304_0506_0708), kind: FileKind::Directory };
    check_exact(&dirent, "01020807060504030201", Dirent::encode, Dirent::decode);
}

#[test]
fn an_index_of_extended_attributes_has_its_golden_bytes_and_a_cut_one_is_refused() {
    let name = |name: &str| XattrName::new(name.as_bytes()).unwrap();
    let index = XattrIndex([(name("user.a"), 0x0001_0000), (name("security.b"), 0)].into());
    check(&index, "010a00000073656375726974792e6206000001757365722e61", XattrIndex::encode, XattrIndex::decode);
    let bytes = index.encode();
    for length in (0..bytes.len()).filter(|length| ![1, 15].contains(length)) {
        assert!(XattrIndex::decode(&bytes[..length]).is_err(), "cut to {length} bytes");
    }
    assert!(XattrIndex::decode(b"\x01\x01\0\0\0x").is_err(), "a name that no attribute can have");
}

#[test]
fn content_and_targets_have_their_golden_bytes() {
    let decode = |bytes: &[u8]| decode_content(bytes.to_vec());
    check(&b"bytes".to_vec(), "016279746573", |content| encode_content(content), decode);
    assert!(decode(&[]).is_err(), "no bytes at all are no content");
    check(&Vec::new(), "01", |content| encode_content(content), decode);
}

#[test]
fn the_note_of_backups_has_its_golden_bytes() {
    let note = Backups {
        maker: Some(SessionId(0x0102_0304_0506_0708)),
        last: Some(Timestamp::from_nanos(0x1112_1314_1516_1718)),
    };
    let decode = |bytes: &[u8]| Backups::decode(Some(bytes));
    check_exact(&note, "0108070605040302011817161514131211", Backups::encode, decode);
    assert_eq!(Backups::decode(None).unwrap(), Backups::default());
}

#[test]
fn a_write_back_folder_has_its_golden_bytes() {
    let folder = WritebackFolder {
        host: "h".into(),
        path: "/p".into(),
        mount_point: "/m".into(),
        objects: 3,
        bytes: 300,
        noted: Timestamp::new(5, 6),
    };
    check_exact(&folder, "010168022f70022f6d03ac020a06", WritebackFolder::encode, WritebackFolder::decode);
}

#[test]
fn a_load_has_its_golden_bytes() {
    check_exact(&0x0102_0304_0506_0708, "010807060504030201", |number| encode_load(*number), decode_load);
}

#[test]
fn a_lease_has_its_golden_bytes() {
    check_exact(&0x0102_0304_0506_0708, "010807060504030201", |end| encode_lease(*end), decode_lease);
}

#[test]
fn queue_entries_have_their_golden_bytes() {
    check_exact(&ObjectKind::Block, "0101", |kind| encode_deletion(*kind), decode_deletion);
    check_exact(&ObjectKind::Pack, "0102", |kind| encode_deletion(*kind), decode_deletion);
    check_exact(&0x0102_0304_0506_0708, "010807060504030201", |time| encode_queued(*time), decode_queued);
}

#[test]
fn what_is_noted_of_packs_has_its_golden_bytes() {
    let files = vec![Ino(300), Ino(301), Ino(299), Ino(u64::MAX), Ino(0x0102_0304_0506_0708)];
    check_exact(&files, "0105d8040203d704929cb0d080c1818202", |files| encode_pack_files(files), decode_pack_files);
    check_exact(&Vec::new(), "0100", |files| encode_pack_files(files), decode_pack_files);
    let note = SparseNote { since: 0x0102_0304_0506_0708, length: 0x1112_1314 };
    check_exact(&note, "01080706050403020114131211", SparseNote::encode, SparseNote::decode);
}

#[test]
fn an_origin_has_its_golden_bytes() {
    let origin = (Ino(0x0102_0304_0506_0708), Name::new(b"name").unwrap());
    check(&origin, "0108070605040302016e616d65", |(parent, name)| encode_origin(*parent, name), decode_origin);
    for cut in [b"\x01".as_slice(), b"\x01\0\0\0\0\0\0\0", b"\x01\0\0\0\0\0\0\0\0", b"\x01\0\0\0\0\0\0\0\0a/b"] {
        assert!(decode_origin(cut).is_err(), "{}", cut.escape_ascii());
    }
}

#[test]
fn locks_and_who_waits_for_them_have_their_golden_bytes() {
    let ranges = vec![
        (LockRange { start: 1, end: 0x0102_0304_0506_0708 }, LockMode::Exclusive),
        (LockRange { start: 0x0102_0304_0506_0709, end: LockRange::WHOLE.end }, LockMode::Shared),
    ];
    let record = LockRecord { pid: 0x0102_0304, ranges: LockRanges::from_sorted(ranges).unwrap() };
    check(
        &record,
        "010403020101000000000000000807060504030201020907060504030201ffffffffffffff7f01",
        LockRecord::encode,
        LockRecord::decode,
    );
    let bytes = record.encode();
    for length in (0..bytes.len()).filter(|length| *length != 22) {
        assert!(LockRecord::decode(&bytes[..length]).is_err(), "cut to {length} bytes");
    }
    let of_one_mode = [&bytes[..38], &[LockMode::Exclusive as u8]].concat();
    assert!(LockRecord::decode(&of_one_mode).is_err(), "ranges that touch and have one mode are one range");
    let waiter = WaiterRecord {
        space: LockSpace::Record,
        owner: 0x1112_1314_1516_1718,
        range: LockRange { start: 0x0102_0304_0506_0708, end: LockRange::WHOLE.end },
        mode: LockMode::Shared,
    };
    let golden = "010218171615141312110807060504030201ffffffffffffff7f01";
    check_exact(&waiter, golden, WaiterRecord::encode, WaiterRecord::decode);
    let backwards = WaiterRecord { range: LockRange { start: 2, end: 1 }, ..waiter };
    assert!(WaiterRecord::decode(&backwards.encode()).is_err());
    check_exact(&Ino(0x0102_0304_0506_0708), "010807060504030201", |ino| encode_waiter_of(*ino), decode_waiter_of);
}

#[test]
fn a_slice_list_has_its_golden_bytes_and_a_cut_entry_is_refused() {
    check(
        &slices(),
        "010100003020100003020100110000000000200008070605040302010100000007000000090000000000000000000000\
         000000000000000001020000302010000302010011000000000020000807060504030201",
        |list| encode_slices(list),
        decode_slices,
    );
    let bytes = encode_slices(&slices());
    for length in (0..bytes.len()).filter(|length| length % 28 != 0) {
        assert!(decode_slices(&bytes[..length]).is_err(), "cut to {length} bytes");
    }
    assert_eq!(decode_slices(&bytes[..56]), Ok(slices()[..2].to_vec()), "a list may end with any entry");
}

#[test]
fn a_session_has_its_golden_bytes() {
    let mut session = SessionRecord {
        host: "host".into(),
        boot: "boot id".into(),
        pid: 300,
        started: Timestamp::new(1_700_000_000, 5),
        mount_point: "/mnt".into(),
        kind: SessionKind::Mount,
        consistency: Consistency::Coherent,
    };
    let rules = Rules { volume: true, owners: 0x0102_0304, trash: true, feed: true };
    let with = |rules: Rules| move |session: &SessionRecord| session.encode(rules);
    check_exact(
        &session,
        "01000000000004686f737407626f6f74206964ac0280c49fd50c05042f6d6e740001",
        with(Rules::default()),
        SessionRecord::decode,
    );
    session.kind = SessionKind::Command;
    check_exact(
        &session,
        "01070403020104686f737407626f6f74206964ac0280c49fd50c05042f6d6e740101",
        with(rules),
        SessionRecord::decode,
    );
    let bytes = session.encode(Rules::default());
    assert_eq!(Rules::decode(&bytes), Ok(Rules::default()));
    assert_eq!(rules.replace(&bytes), Ok(session.encode(rules)), "the rules change and the rest stays");
}

#[test]
fn a_quota_has_its_golden_bytes() {
    let quota = |limits, around| Quota { state: QuotaState::Counting, limits, around };
    let limited = Limits { bytes: Some(0x0102_0304_0506_0708), inodes: None };
    check_exact(&quota(limited, vec![]), "01020807060504030201ffffffffffffffff", Quota::encode, Quota::decode);
    let nested = quota(Limits { bytes: None, inodes: Some(3) }, vec![Ino(0x0102_0304_0506_0708), Ino(1)]);
    let golden = "0102ffffffffffffffff030000000000000008070605040302010100000000000000";
    check(&nested, golden, Quota::encode, Quota::decode);
    assert!(Quota::decode(&nested.encode()[..33]).is_err(), "half a number");
    let mut bytes = nested.encode();
    bytes[1] = 9;
    assert!(Quota::decode(&bytes).is_err(), "no such state");
    check(&b"place".to_vec(), "01706c616365", |place| encode_walk(place), |bytes| Ok(decode_walk(bytes)?.to_vec()));
}

#[test]
fn the_record_of_what_is_counted_has_its_golden_bytes() {
    let accounting = Accounting {
        volume: true,
        any: true,
        owners: OwnerState::Counting,
        generation: 0x0102_0304,
        counted: 0x1112_1314_1516_1718,
        walking: Some(Ino(0x2122_2324_2526_2728)),
        trash_days: 0x3132_3334,
    };
    let golden = "010301040302011817161514131211282726252423222134333231";
    check_exact(&accounting, golden, Accounting::encode, |bytes| Accounting::decode(Some(bytes)));
    assert_eq!(Accounting::decode(None), Ok(Accounting::default()), "a volume without quotas has none");
    assert_eq!(accounting.rules(), Rules { volume: true, owners: 0x0102_0304, trash: true, feed: false });
    assert!(!Accounting { trash_days: 0, ..accounting }.rules().trash);
    assert_eq!(Accounting { owners: OwnerState::Off, ..accounting }.rules().owners, 0);
}

#[test]
fn the_wrapped_key_has_its_golden_bytes() {
    use shoal_encryption::WrappedKey;
    let wrapped = WrappedKey::Kms { sealed: vec![7, 8] };
    check_exact(&wrapped, "0102020708", encode_wrapped_key, decode_wrapped_key);
    let sealed = vec![9];
    let wrapped = WrappedKey::Passphrase { salt: [1; 16], memory_kib: 65536, passes: 3, lanes: 4, sealed };
    let golden = "010001010101010101010101010101010101808004030401".to_owned() + "09";
    check_exact(&wrapped, &golden, encode_wrapped_key, decode_wrapped_key);
    let wrapped = WrappedKey::KeyFile { recipient: [2; 32], ephemeral: [3; 32], sealed: vec![9] };
    let golden = format!("0101{}{}0109", "02".repeat(32), "03".repeat(32));
    check_exact(&wrapped, &golden, encode_wrapped_key, decode_wrapped_key);
}

#[test]
fn a_staged_file_has_its_golden_bytes() {
    check_exact(&0x0102_0304, "0104030201", |bytes| encode_staged(*bytes), decode_staged);
}

#[test]
fn the_settings_have_their_golden_bytes() {
    let settings = VolumeSettings {
        schema: SCHEMA_VERSION,
        name: "name".into(),
        uuid: "8b0ce1cd-5d15-4d4b-9a3e-7f3c1f1f2a10".into(),
        storage: "file:///objects".into(),
        block_bytes: 4 << 20,
        inline_bytes_max: 4096,
        staging: Default::default(),
        delete_grace_seconds: 60,
        compression: Compression::Lz4,
        cipher: Some(Cipher::Aes256Gcm),
        also_encrypted: AlsoEncrypted::default(),
    };
    check_exact(
        &settings,
        "0101046e616d652438623063653163642d356431352d346434622d396133652d3766336331663166326131300f66696c\
         653a2f2f2f6f626a6563747380808002802000003c036c7a34010b6165732d3235362d67636d",
        encode_settings,
        decode_settings,
    );
    // Volumes that encrypt more than content are nothing for programs that don't know of it.
    let settings = VolumeSettings { also_encrypted: AlsoEncrypted { symlinks: true, xattrs: false }, ..settings };
    check_exact(
        &settings,
        "0201046e616d652438623063653163642d356431352d346434622d396133652d3766336331663166326131300f66696c\
         653a2f2f2f6f626a6563747380808002802000003c036c7a34010b6165732d3235362d67636d0100",
        encode_settings,
        decode_settings,
    );
}

#[test]
fn every_reply_in_an_operation_record_has_its_golden_bytes() {
    let removed = Removed { ino: Ino(300), last: true, sustained: false };
    let renamed = |replaced| Renamed { moved: Ino(301), replaced };
    let replies = [
        (MetaReply::Done, "01080706050403020100"),
        (MetaReply::Attributes(attributes()), "01080706050403020101ac020202ff03e807e907000105000101040206030804"),
        (MetaReply::Removed(removed), "01080706050403020102ac020100"),
        (MetaReply::Renamed(renamed(None)), "01080706050403020103ad0200"),
        (MetaReply::Renamed(renamed(Some(removed))), "01080706050403020103ad0201ac020100"),
        (
            MetaReply::Truncated(Truncated { attributes: attributes(), done: true }),
            "01080706050403020104ac020202ff03e807e90700010500010104020603080401",
        ),
        (MetaReply::NotInline, "01080706050403020105"),
        (MetaReply::Replaced(true), "0108070605040302010601"),
        (MetaReply::Leased(2..1000), "0108070605040302010702e807"),
        (MetaReply::Registered(SessionId(9)), "0108070605040302010809"),
        (MetaReply::Ended { done: false }, "0108070605040302010900"),
        (MetaReply::Lock(LockOutcome::Blocked { abroad: true }), "0108070605040302010a0101"),
        (
            MetaReply::Fallocated(Fallocated { attributes: attributes(), reached: 300 }),
            "0108070605040302010bac020202ff03e807e907000105000101040206030804ac02",
        ),
        (
            MetaReply::Copied(Copied { attributes: attributes(), count: 300 }),
            "0108070605040302010cac020202ff03e807e907000105000101040206030804ac02",
        ),
        (MetaReply::CopyBytes(300), "0108070605040302010dac02"),
        (
            MetaReply::Appended(Appended { attributes: attributes(), offset: 300 }),
            "0108070605040302010eac020202ff03e807e907000105000101040206030804ac02",
        ),
        (MetaReply::Emptied(Emptied { done: true, inodes: vec![Ino(300)] }), "0108070605040302010f0101ac02"),
        (MetaReply::Sustained(vec![Ino(300)]), "0108070605040302011001ac02"),
        (MetaReply::Holder(SessionId(9)), "0108070605040302011209"),
        (MetaReply::Cloning(cloning(None)), "0108070605040302011101ac0207080000"),
        (
            MetaReply::Cloning(cloning(Some(CloneRefusal {
                errno: Errno(13),
                directory: Ino(3),
                name: b"n".to_vec(),
            }))),
            "0108070605040302011101ac02070800011a03016e",
        ),
    ];
    for (reply, golden) in replies {
        let record = OperationRecord { operation: 0x0102_0304_0506_0708, reply };
        check(&record, golden, OperationRecord::encode, OperationRecord::decode);
    }
}

fn cloning(refusal: Option<CloneRefusal>) -> CloneProgress {
    CloneProgress { parent: Ino(1), next_inode: 300, entries: 7, bytes: 8, filled: false, refusal }
}

#[test]
fn what_a_clone_notes_has_its_golden_bytes() {
    let version = FileVersion { truncation_epoch: 1, length: 300, allocated: -2, mtime: Some(5) };
    let file = CloneFile { source: Ino(7), target: Ino(300), next: 9, directory: Ino(3), name: b"n".to_vec(), version };
    let record = CloneRecord {
        session: SessionId(4),
        state: CloneState::Abandoned,
        parent: Ino(1),
        quota: Some(Ino(2)),
        entries: 300,
        bytes: 4096,
        file: Some(file),
        flags: InodeFlags(300),
    };
    let golden = "010402010102ac0280200107ac020903016e01ac02030105ac02";
    check_exact(&record, golden, CloneRecord::encode, CloneRecord::decode);
    let directory = (Ino(0x0102_0304_0506_0708), b"place".to_vec());
    let encode = |(source, place): &(Ino, Vec<u8>)| encode_clone_directory(*source, place);
    let decode = |bytes: &[u8]| decode_clone_directory(bytes).map(|(source, place)| (source, place.to_vec()));
    check(&directory, "010807060504030201706c616365", encode, decode);
    assert!(decode_clone_directory(&[1, 2]).is_err(), "half a number");
    let link = |ino: &Ino| encode_clone_link(*ino);
    check_exact(&Ino(0x0102_0304_0506_0708), "010807060504030201", link, decode_clone_link);
}

#[test]
fn values_that_make_no_sense_are_refused_and_never_guessed_at() {
    let spoiled = |at: usize, byte: u8| {
        let mut bytes = identity().encode();
        bytes[at] = byte;
        Identity::decode(&bytes)
    };
    assert!(spoiled(1, 0).is_err(), "kind 0");
    assert!(spoiled(1, 8).is_err(), "kind 8");
    assert!(spoiled(59, 0xff).is_err(), "more nanoseconds than a second has");
    let of_damage = encode_slices(&[Slice { length: 0, ..slices()[0] }]);
    assert!(decode_slices(&of_damage).is_err(), "an empty slice");
    let of_damage = encode_slices(&[Slice { object: ObjectId(0), ..slices()[0] }]);
    assert!(decode_slices(&of_damage).is_err(), "a block without an object");
    assert_eq!(KvError::Damaged(String::new()).errno(), Errno::EIO);
}

#[test]
fn the_change_feed_has_its_golden_bytes() {
    let audience = Audience { mounts: 3, following: 2, watchers: 0x0102_0304 };
    let decode = |bytes: &[u8]| Audience::decode(Some(bytes));
    check_exact(&audience, "01030000000200000004030201", Audience::encode, decode);
    assert_eq!(Audience::decode(None), Ok(Audience::default()));
    let name = |text: &str| Name::new(text.as_bytes()).unwrap();
    let (parent, ino) = (Ino(1), Ino(300));
    let renamed = Change::Renamed {
        old_parent: parent,
        old_name: name("a"),
        new_parent: Ino(2),
        new_name: name("b"),
        ino,
        replaced: Some(Ino(301)),
        exchanged: false,
    };
    let changes = [
        (Change::Joined, "010400"),
        (Change::Left, "010401"),
        (Change::Created { parent, name: name("a"), ino, kind: FileKind::Directory }, "01040201|0161|ac02|01"),
        (Change::Linked { parent, name: name("a"), ino }, "01040301|0161|ac02"),
        (Change::Removed { parent, name: name("a"), ino }, "01040401|0161|ac02"),
        (renamed, "01040501|0161|02|0162|ac02|01ad02|00"),
        (Change::Content { ino }, "010406ac02"),
        (Change::Attributes { ino }, "010407ac02"),
        (Change::Accessed { inodes: vec![ino] }, "01040801ac02"),
    ];
    for (change, golden) in changes {
        let event = Event { session: SessionId(4), change };
        check_exact(&event, &golden.replace('|', ""), encode_event, decode_event);
    }
    check_exact(&SessionId(0x0102_0304_0506_0708), "010807060504030201", |id| encode_holder(*id), decode_holder);
}
