//! How objects are named: `<volume>/objects/<2 hex digits of a hash>/<object number>`.
//!
//! The hash spreads load over key prefixes and folders; the number finds the metadata.

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
}
