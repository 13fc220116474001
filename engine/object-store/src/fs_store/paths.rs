//! From keys to paths under the root, and which names are objects at all.
//!
//! Never lets a key lead out of the root, and never takes a temporary file for an object.

use crate::naming::is_temporary;
use crate::{StoreError, StoreResult};
use std::path::{Path, PathBuf};

const PART_BYTES_MAX: usize = 255;

/// Where the object of this key lies.
pub(super) fn object_path(root: &Path, key: &str) -> StoreResult<PathBuf> {
    if !key.split('/').all(is_legal_part) {
        return Err(StoreError::Other(format!("{key:?} is no key of an object")));
    }
    Ok(root.join(key))
}

/// The folder below which every key with this prefix lies.
pub(super) fn prefix_folder(root: &Path, prefix: &str) -> StoreResult<PathBuf> {
    match prefix.rsplit_once('/') {
        Some((folder, _)) => object_path(root, folder),
        None => Ok(root.to_path_buf()),
    }
}

fn is_legal_part(part: &str) -> bool {
    !part.is_empty()
        && part != "."
        && part != ".."
        && part.len() <= PART_BYTES_MAX
        && !part.contains('\0')
        && !is_temporary(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_leaves_the_root_or_names_a_temporary_file() {
        let root = Path::new("/root");
        for evil in ["", "/", "/etc/passwd", "..", "a/../../b", "a//b", "a/", "./a", "a\0b", "a/.putting-1-1"] {
            assert!(object_path(root, evil).is_err(), "{evil:?}");
        }
        assert!(object_path(root, &"x".repeat(256)).is_err());
        assert_eq!(object_path(root, "v/objects/9e/..1").unwrap(), Path::new("/root/v/objects/9e/..1"));
        assert!(prefix_folder(root, "../x").is_err());
        assert_eq!(prefix_folder(root, "v/objects/").unwrap(), Path::new("/root/v/objects"));
        assert_eq!(prefix_folder(root, "v").unwrap(), root);
    }
}
