//! How objects are named: `<volume>/objects/<2 hex digits of a hash>/<object number>`.
//!
//! The hash spreads load over key prefixes and folders; the number finds the metadata.
//!
//! Backups of the metadata lie beside them, in parts: `<volume>/metadata/<time>-<part>`, the last one with `-end` behind its
//! number. In the order of keys the parts of one time are one dump.

use shoal_types::ObjectId;

/// What is written under a name that begins so is no object yet.
pub(crate) const TEMPORARY_PREFIX: &str = ".putting-";

pub(crate) fn is_temporary(name: &str) -> bool {
    name.starts_with(TEMPORARY_PREFIX)
}

/// The key of an object of the volume (its UUID).
pub fn object_key(volume: &str, object: ObjectId) -> String {
    format!("{volume}/objects/{:02x}/{}", spread(object), object.0)
}

/// What all keys of a volume's objects begin with.
pub fn objects_prefix(volume: &str) -> String {
    format!("{volume}/objects/")
}

/// The object a key names; `None` for what is no object of this volume, under exactly this key.
pub fn parse_key(volume: &str, key: &str) -> Option<ObjectId> {
    let number = key.rsplit('/').next()?;
    let object = ObjectId(number.parse().ok()?);
    (object_key(volume, object) == key).then_some(object)
}

/// One part of a backup of the metadata.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BackupPart<'a> {
    pub time: &'a str,
    pub number: u32,
    pub last: bool,
}

impl BackupPart<'_> {
    pub fn key(&self, volume: &str) -> String {
        let BackupPart { time, number, last } = self;
        format!("{volume}/metadata/{time}-{number:06}{}", if *last { LAST } else { "" })
    }
}

/// What all keys of a volume's backups begin with.
pub fn backups_prefix(volume: &str) -> String {
    format!("{volume}/metadata/")
}

/// The part a key names; `None` for what is none of this volume, under exactly this key.
pub fn parse_backup_key<'a>(volume: &str, key: &'a str) -> Option<BackupPart<'a>> {
    let (time, part) = key.strip_prefix(&backups_prefix(volume))?.split_once('-')?;
    let (number, last) = match part.strip_suffix(LAST) {
        Some(number) => (number, true),
        None => (part, false),
    };
    let part = BackupPart { time, number: number.parse().ok()?, last };
    (part.key(volume) == key).then_some(part)
}

const LAST: &str = "-end";

/// The top byte of a Fibonacci hash. Stored for ever: never change it.
fn spread(object: ObjectId) -> u8 {
    (object.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_leads_back_to_its_object_and_nothing_else_does() {
        for number in [1, 2, 255, 1 << 40, u64::MAX] {
            assert_eq!(parse_key("v", &object_key("v", ObjectId(number))), Some(ObjectId(number)));
        }
        assert_eq!(object_key("v", ObjectId(1)), "v/objects/9e/1");
        for alien in ["v/objects/9e/01", "v/objects/9f/1", "w/objects/9e/1", "v/objects/9e/+1", "v/objects/9e/x", ""] {
            assert_eq!(parse_key("v", alien), None, "{alien}");
        }
    }
    #[test]
    fn parts_of_a_backup_have_one_name_and_stand_in_their_order() {
        let part = |number, last| BackupPart { time: "20261126T080000Z", number, last };
        let parts = [part(0, false), part(1, false), part(10, true)];
        let keys = parts.map(|part| part.key("v"));
        assert_eq!(keys[2], "v/metadata/20261126T080000Z-000010-end");
        assert!(keys.is_sorted() && keys.iter().all(|key| key.starts_with(&backups_prefix("v"))));
        assert_eq!(keys.each_ref().map(|key| parse_backup_key("v", key)), parts.map(Some));
        assert!(keys.iter().all(|key| parse_key("v", key).is_none()));
        for alien in
            ["v/metadata/t-1", "w/metadata/t-000001", "v/metadata/000001", "v/objects/9e/1", "v/metadata/t-x-end"]
        {
            assert_eq!(parse_backup_key("v", alien), None, "{alien}");
        }
    }
}
