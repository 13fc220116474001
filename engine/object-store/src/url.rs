//! The one place that turns a storage URL into a store.
//!
//! `open(url)` is all a program needs; what it wraps around the result (retries, injected faults) is its own choice.

use crate::{FsStore, ObjectStore, StoreError, StoreResult};
use std::path::Path;
use std::sync::Arc;

/// Opens `file:///DIR`, and makes the folder if it is missing.
pub fn open(url: &str) -> StoreResult<Arc<dyn ObjectStore>> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(refuse(url, format_args!("it has no scheme; {SUPPORTED}")));
    };
    match scheme {
        "file" => Ok(Arc::new(FsStore::open(folder(url, rest)?)?)),
        _ => Err(refuse(url, format_args!("this build does not support {scheme}; {SUPPORTED}"))),
    }
}

const SUPPORTED: &str = "supported is file:///FOLDER";

fn folder<'a>(url: &str, rest: &'a str) -> StoreResult<&'a Path> {
    if !rest.starts_with('/') {
        return Err(refuse(url, format_args!("the path must be absolute, with three slashes: file:///FOLDER")));
    }
    if rest.contains('\0') {
        return Err(refuse(url, format_args!("a path has no NUL")));
    }
    Ok(Path::new(rest))
}

fn refuse(url: &str, reason: std::fmt::Arguments<'_>) -> StoreError {
    StoreError::Other(format!("{url}: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn a_file_url_opens_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&format!("file://{}/new", folder.path().display())).unwrap();
        crate::contract::run(store.put("v/1", vec![Bytes::from_static(b"x")])).unwrap();
        assert!(folder.path().join("new/v/1").exists());
    }

    #[test]
    fn every_other_url_is_refused_with_what_would_do() {
        for url in ["", "file", "file://relative/path", "/srv/objects", "s3://bucket", "memory://"] {
            let refused = open(url).err().unwrap().to_string();
            assert!(refused.contains(url) && refused.contains("file:///FOLDER"), "{refused}");
        }
    }
}
