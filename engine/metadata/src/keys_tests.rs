//! The bytes of every key kind, checked in, and their way back.

use super::*;

const INO: Ino = Ino(0x0102_0304_0506_0708);
const SESSION: SessionId = SessionId(0x1112_1314_1516_1718);
const OBJECT: ObjectId = ObjectId(0x2122_2324_2526_2728);
const TIME: u64 = 0x3132_3334_3536_3738;

fn golden() -> Vec<(Key<'static>, &'static str)> {
    vec![
        (Key::Settings, "56"),
        (Key::WrappedKey, "77"),
        (Key::Load, "6c"),
        (Key::StorageSecrets, "78"),
        (Key::WritebackFolder(TIME), "79013132333435363738"),
        (Key::DeletedInWriteback(TIME, OBJECT), "790231323334353637382122232425262728"),
        (Key::Backups, "62"),
        (Key::Audience, "6600"),
        (Key::Event(Stamp([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])), "66010102030405060708090a"),
        (Key::Maintenance, "6d"),
        (Key::Protected, "69"),
        (Key::Counter(Counter::NextInode), "636e65787420696e6f6465"),
        (Key::Counter(Counter::NextObject), "636e657874206f626a656374"),
        (Key::Counter(Counter::NextSession), "636e6578742073657373696f6e"),
        (Key::Counter(Counter::UsedBytes), "6375736564206279746573"),
        (Key::Counter(Counter::UsedInodes), "637573656420696e6f646573"),
        (Key::Clone(INO), "6b010203040506070801"),
        (Key::CloneDirectory(INO, Ino(OBJECT.0)), "6b0102030405060708022122232425262728"),
        (Key::CloneLink(INO, Ino(OBJECT.0)), "6b0102030405060708032122232425262728"),
        (Key::Identity(INO), "6e010203040506070801"),
        (Key::Accumulator(INO, Accumulator::Length), "6e01020304050607080201"),
        (Key::Accumulator(INO, Accumulator::Mtime), "6e01020304050607080202"),
        (Key::Accumulator(INO, Accumulator::Allocated), "6e01020304050607080203"),
        (Key::Accumulator(INO, Accumulator::Entries), "6e01020304050607080204"),
        (Key::Accumulator(INO, Accumulator::Subdirectories), "6e01020304050607080205"),
        (Key::Accumulator(INO, Accumulator::Atime), "6e01020304050607080206"),
        (Key::Inline(INO), "6e010203040506070803"),
        (Key::Target(INO), "6e010203040506070804"),
        (Key::Chunk(INO, 0x11_1213_1415), "6e0102030405060708050000001112131415"),
        (Key::Dirent(INO, 0x3132_3334_3536_3738, b"name"), "6e01020304050607080631323334353637386e616d65"),
        (Key::Lock(INO, LockSpace::Flock, SESSION, TIME), "6e0102030405060708090111121314151617183132333435363738"),
        (Key::Lock(INO, LockSpace::Record, SESSION, TIME), "6e0102030405060708090211121314151617183132333435363738"),
        (Key::Waiter(INO, SESSION, TIME), "6e010203040506070809ff11121314151617183132333435363738"),
        (Key::XattrIndex(INO), "6e010203040506070807"),
        (Key::Xattr(INO, b"user.a"), "6e010203040506070807757365722e61"),
        (Key::Queued(INO), "6e01020304050607080a"),
        (Key::Origin(INO), "6e01020304050607080b"),
        (Key::Object(OBJECT), "6f2122232425262728"),
        (Key::StagedBytes, "7000"),
        (Key::Staged(SESSION, INO, Ino(OBJECT.0)), "7001111213141516171801020304050607082122232425262728"),
        (Key::PackFiles(OBJECT, 0x4142_4344), "7002212223242526272841424344"),
        (Key::SparsePack(OBJECT), "70032122232425262728"),
        (Key::Accounting, "7100"),
        (Key::Quota(Account::Volume), "7101000000000000000001"),
        (Key::Quota(Account::Directory(INO)), "7102010203040506070801"),
        (Key::Quota(Account::User(0x4142_4344)), "7103000000004142434401"),
        (Key::Quota(Account::Group(0x4142_4344)), "7104000000004142434401"),
        (Key::QuotaUsage(Account::Directory(INO), UsageField::Bytes), "710201020304050607080201"),
        (Key::QuotaUsage(Account::User(0x4142_4344), UsageField::Inodes), "710300000000414243440202"),
        (Key::QuotaWalk(INO, Ino(OBJECT.0)), "71020102030405060708032122232425262728"),
        (Key::Session(SESSION), "73111213141516171801"),
        (Key::Heartbeat(SESSION), "73111213141516171802"),
        (Key::Sustained(SESSION, INO), "731112131415161718030102030405060708"),
        (Key::Operation(SESSION, 0x4142_4344), "7311121314151617180441424344"),
        (Key::ObjectLease(SESSION, OBJECT.0), "731112131415161718052122232425262728"),
        (Key::LockOf(SESSION, INO, LockSpace::Record, TIME), "731112131415161718060102030405060708023132333435363738"),
        (Key::WaiterOf(SESSION, TIME, OBJECT.0), "7311121314151617180731323334353637382122232425262728"),
        (Key::Bell(SESSION), "73111213141516171808"),
        (Key::Removal(TIME, INO), "7531323334353637380102030405060708"),
        (Key::Deletion(TIME, OBJECT), "7a31323334353637382122232425262728"),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_key_has_its_golden_bytes_and_parses_back() {
    for (key, bytes) in golden() {
        assert_eq!(hex(&key.encode()), bytes, "{key:?}");
        assert_eq!(Key::parse(&key.encode()), Some(key));
    }
}

#[test]
fn no_key_kind_is_without_a_golden_vector() {
    let kind = |key: &Key<'_>| match key {
        Key::Settings => 0,
        Key::Counter(_) => 1,
        Key::Identity(_) => 2,
        Key::Accumulator(..) => 3,
        Key::Inline(_) => 4,
        Key::Target(_) => 5,
        Key::Chunk(..) => 6,
        Key::Dirent(..) => 7,
        Key::Lock(..) => 8,
        Key::Waiter(..) => 9,
        Key::Queued(_) => 10,
        Key::Object(_) => 11,
        Key::Accounting => 12,
        Key::Quota(_) => 13,
        Key::QuotaUsage(..) => 14,
        Key::QuotaWalk(..) => 15,
        Key::Session(_) => 16,
        Key::Heartbeat(_) => 17,
        Key::Sustained(..) => 18,
        Key::Operation(..) => 19,
        Key::ObjectLease(..) => 20,
        Key::LockOf(..) => 21,
        Key::WaiterOf(..) => 22,
        Key::Bell(_) => 23,
        Key::Removal(..) => 24,
        Key::Deletion(..) => 25,
        Key::XattrIndex(_) => 26,
        Key::Xattr(..) => 27,
        Key::Origin(_) => 28,
        Key::WrappedKey => 29,
        Key::Clone(_) => 30,
        Key::CloneDirectory(..) => 31,
        Key::CloneLink(..) => 32,
        Key::Load => 33,
        Key::StorageSecrets => 34,
        Key::Backups => 35,
        Key::StagedBytes => 36,
        Key::Staged(..) => 37,
        Key::Audience => 38,
        Key::Event(_) => 39,
        Key::Maintenance => 40,
        Key::Protected => 41,
        Key::WritebackFolder(_) => 42,
        Key::DeletedInWriteback(..) => 43,
        Key::PackFiles(..) => 44,
        Key::SparsePack(_) => 45,
    };
    let mut kinds: Vec<i32> = golden().iter().map(|(key, _)| kind(key)).collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds, (0..46).collect::<Vec<_>>());
}

#[test]
fn a_key_cut_short_or_with_bytes_too_many_is_no_key_unless_its_end_is_open() {
    for (key, _) in golden() {
        let bytes = key.encode();
        let open_end = matches!(key, Key::Dirent(..) | Key::XattrIndex(_) | Key::Xattr(..));
        let longer = [&bytes[..], b"!"].concat();
        assert_eq!(Key::parse(&longer).is_some(), open_end, "{key:?}");
        for length in 0..bytes.len() {
            let cut = Key::parse(&bytes[..length]);
            let shorter = |cut: &Key<'_>| matches!(cut, Key::Dirent(..) | Key::XattrIndex(_) | Key::Xattr(..));
            assert!(cut.is_none_or(|cut| open_end && shorter(&cut)), "{key:?} cut to {length}");
        }
    }
}

#[test]
fn a_names_cookie_is_what_it_was_in_the_first_version() {
    let name = Name::new(b"a name").unwrap();
    let Key::Dirent(_, cookie_of_key, _) = Key::dirent(INO, &name) else { panic!("it is an entry's key") };
    assert_eq!(cookie_of_key, cookie(INO, b"a name"));
    assert_eq!(cookie(INO, b"a name"), 2_991_210_752_705_397_034);
    assert_eq!(cookie(Ino::ROOT, b"a name"), 2_151_417_500_476_273_640);
    assert_eq!(cookie(Ino::ROOT, &[0xff; 255]), 2_008_329_380_283_203_156);
}

#[test]
fn cookies_are_valid_offsets_and_leave_room_for_the_dot_entries() {
    for number in 0..10_000u32 {
        let cookie = cookie(Ino(u64::from(number % 7)), &number.to_le_bytes());
        assert!((COOKIE_MIN..=i64::MAX as u64).contains(&cookie));
    }
}

#[test]
fn the_range_of_attributes_holds_identity_and_accumulators_and_nothing_else() {
    let range = attributes(INO);
    for (key, _) in golden() {
        let belongs = matches!(key, Key::Identity(_) | Key::Accumulator(..));
        assert_eq!(range.contains(&key.encode()), belongs, "{key:?}");
    }
    assert!(!range.contains(&Key::Identity(Ino(INO.0 + 1)).encode()));
}

#[test]
fn an_inodes_range_holds_all_its_keys_and_no_others() {
    for (key, _) in golden() {
        let belongs = key.encode().starts_with(&[&b"n"[..], &INO.0.to_be_bytes()].concat());
        assert_eq!(inode(INO).contains(&key.encode()), belongs, "{key:?}");
    }
    assert!(!inode(Ino(INO.0 - 1)).contains(&Key::Queued(INO).encode()));
    assert!(!inode(Ino(INO.0 - 1)).contains(&Key::Identity(INO).encode()));
}

#[test]
fn an_accounts_range_holds_all_its_keys_and_no_others() {
    let account = Account::Directory(INO);
    for (key, _) in golden() {
        let belongs = match key {
            Key::Quota(of) | Key::QuotaUsage(of, _) => of == account,
            Key::QuotaWalk(root, _) => root == INO,
            _ => false,
        };
        assert_eq!(super::account(account).contains(&key.encode()), belongs, "{key:?}");
    }
    let owners = |account| owner_accounts().contains(&Key::Quota(account).encode());
    assert!(owners(Account::User(u32::MAX)) && owners(Account::Group(u32::MAX)));
    assert!(!owners(account) && !owners(Account::Volume));
}

#[test]
fn entries_behind_a_place_begin_with_the_next() {
    let key = Key::Dirent(INO, 100, b"b").encode();
    let range = dirents_behind(INO, dirent_place(&key));
    let names = [&b"a"[..], b"b", b"c"].map(|name| range.contains(&Key::Dirent(INO, 100, name).encode()));
    assert_eq!(names, [false, false, true]);
    assert_eq!(dirents_behind(INO, b""), dirents(INO));
}

#[test]
fn entries_behind_a_cookie_are_those_of_greater_cookies() {
    let range = dirents_after(INO, 100);
    let at = |cookie| Key::Dirent(INO, cookie, &[0xff; 255]).encode();
    assert_eq!([99, 100, 101, i64::MAX as u64].map(|cookie| range.contains(&at(cookie))), [false, false, true, true]);
    assert_eq!([99, 100, 101].map(|cookie| dirents_at(INO, 100).contains(&at(cookie))), [false, true, false]);
}

#[test]
fn queue_ranges_include_their_last_moment() {
    let ends = |time| removals_until(time).contains(&Key::Removal(TIME, Ino(u64::MAX)).encode());
    assert_eq!([TIME - 1, TIME, u64::MAX].map(ends), [false, true, true]);
    let ends = |time| deletions_until(time).contains(&Key::Deletion(TIME, ObjectId(u64::MAX)).encode());
    assert_eq!([TIME - 1, TIME, u64::MAX].map(ends), [false, true, true]);
}

#[test]
fn chunks_from_one_on_are_all_that_follow_and_nothing_else() {
    let range = chunks_from(INO, 3);
    let inside = [2, 3, 4, CHUNK_MAX].map(|chunk| range.contains(&Key::Chunk(INO, chunk).encode()));
    assert_eq!(inside, [false, true, true, true]);
    assert!(!range.contains(&Key::Dirent(INO, 0, b"").encode()));
    let range = chunks_within(INO, 3, 5);
    let inside = [2, 3, 4, 5].map(|chunk| range.contains(&Key::Chunk(INO, chunk).encode()));
    assert_eq!(inside, [false, true, true, false]);
}

#[test]
fn a_chunk_that_no_file_can_have_is_no_key() {
    assert_eq!(Key::parse(&Key::Chunk(INO, CHUNK_MAX).encode()), Some(Key::Chunk(INO, CHUNK_MAX)));
    assert_eq!(Key::parse(&Key::Chunk(INO, CHUNK_MAX + 1).encode()), None);
}
