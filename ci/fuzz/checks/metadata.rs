//! What holds for any bytes in place of a key or a value of the metadata: they are read or refused, never a panic, and what was
//! read is written again as something that reads the same. Shared by the fuzz targets and `engine/metadata/tests`.

use shoal_metadata::keys::Key;
use shoal_metadata::records::*;

pub fn key(bytes: &[u8]) {
    if let Some(key) = Key::parse(bytes) {
        assert_eq!(key.encode(), bytes, "a key has one form");
        assert_eq!(Key::parse(&key.encode()), Some(key));
    }
}

/// How many kinds of values there are.
pub const RECORDS: u8 = 26;

/// `kind` is one of so many.
pub fn record(kind: u8, bytes: &[u8]) {
    match kind % RECORDS {
        0 => again(Identity::decode, Identity::encode, bytes),
        1 => again(Dirent::decode, Dirent::encode, bytes),
        2 => again(decode_slices, |slices| encode_slices(slices), bytes),
        3 => again(|bytes| decode_content(bytes.to_vec()), |content| encode_content(content), bytes),
        4 => again(decode_lease, |end| encode_lease(*end), bytes),
        5 => again(LockRecord::decode, LockRecord::encode, bytes),
        6 => again(WaiterRecord::decode, WaiterRecord::encode, bytes),
        7 => again(decode_waiter_of, |ino| encode_waiter_of(*ino), bytes),
        8 => again(OperationRecord::decode, OperationRecord::encode, bytes),
        9 => again(decode_deletion, |kind| encode_deletion(*kind), bytes),
        10 => again(decode_queued, |time| encode_queued(*time), bytes),
        11 => again(Quota::decode, Quota::encode, bytes),
        12 => again(|bytes| decode_walk(bytes).map(<[u8]>::to_vec), |place| encode_walk(place), bytes),
        13 => again(decode_settings, encode_settings, bytes),
        14 => again(XattrIndex::decode, XattrIndex::encode, bytes),
        15 => again(decode_origin, |(parent, name)| encode_origin(*parent, name), bytes),
        16 => again(decode_wrapped_key, encode_wrapped_key, bytes),
        17 => again(decode_load, |number| encode_load(*number), bytes),
        18 => again(|bytes| Backups::decode(Some(bytes)), Backups::encode, bytes),
        19 => again(decode_staged, |staged| encode_staged(*staged), bytes),
        20 => again(|bytes| Audience::decode(Some(bytes)), Audience::encode, bytes),
        21 => again(decode_event, encode_event, bytes),
        22 => again(decode_holder, |session| encode_holder(*session), bytes),
        23 => again(decode_pack_files, |files| encode_pack_files(files), bytes),
        24 => again(SparseNote::decode, SparseNote::encode, bytes),
        _ => again(
            |bytes| Ok((SessionRecord::decode(bytes)?, Rules::decode(bytes)?)),
            |(session, rules)| session.encode(*rules),
            bytes,
        ),
    }
}

fn again<T: PartialEq + std::fmt::Debug>(
    decode: impl Fn(&[u8]) -> shoal_kv::KvResult<T>,
    encode: impl Fn(&T) -> Vec<u8>,
    bytes: &[u8],
) {
    if let Ok(record) = decode(bytes) {
        let again = decode(&encode(&record));
        assert_eq!(again.ok().as_ref(), Some(&record), "what was read is written and read again");
    }
}
