//! The contract on a folder, and what only a folder can show.

use super::*;
use crate::contract::Subject;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

fn subject() -> Subject {
    let folder = tempfile::tempdir().unwrap();
    let store = FsStore::open(&folder.path().join("objects")).unwrap();
    Subject::new(Arc::new(store)).keeping(folder)
}

crate::contract_tests!(subject());

fn run<T>(work: impl Future<Output = T>) -> T {
    crate::contract::run(work)
}

#[test]
fn a_put_killed_before_its_rename_is_invisible_and_can_be_removed() {
    let folder = tempfile::tempdir().unwrap();
    let store = FsStore::open(folder.path()).unwrap();
    run(store.put("v/objects/9e/1", vec![Bytes::from_static(b"whole")])).unwrap();
    let left = folder.path().join("v/objects/9e/.putting-1-1");
    std::fs::write(&left, "half").unwrap();

    let mut keys = Vec::new();
    run(store.list("", &mut |object| {
        keys.push(object.key);
        Ok(())
    }))
    .unwrap();
    assert_eq!(keys, ["v/objects/9e/1"]);
    assert!(run(store.get("v/objects/9e/.putting-1-1", 0..1)).is_err());

    let hour = Duration::from_secs(3600);
    assert_eq!(run(store.remove_temporaries(SystemTime::now() - hour)), Ok(0));
    assert!(left.exists());
    assert_eq!(run(store.remove_temporaries(SystemTime::now() + hour)), Ok(1));
    assert!(!left.exists());
    assert_eq!(run(store.get("v/objects/9e/1", 0..5)), Ok(Bytes::from_static(b"whole")));
}

#[test]
fn keys_never_escape_the_root() {
    let folder = tempfile::tempdir().unwrap();
    let store = FsStore::open(&folder.path().join("root")).unwrap();
    for key in ["../out", "/etc/shoal-test", "a/../../out", "", "a//b"] {
        let bytes = vec![Bytes::from_static(b"x")];
        assert!(matches!(run(store.put(key, bytes)), Err(StoreError::Other(_))), "{key}");
        assert!(matches!(run(store.get(key, 0..1)), Err(StoreError::Other(_))), "{key}");
        assert!(matches!(run(store.delete(key)), Err(StoreError::Other(_))), "{key}");
        assert!(matches!(run(store.sync(&[key.to_string()])), Err(StoreError::Other(_))), "{key}");
    }
    assert!(!folder.path().join("out").exists());
}

#[test]
fn a_file_in_place_of_the_folder_is_refused_by_name() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let refused = FsStore::open(file.path()).err().unwrap().to_string();
    assert!(refused.contains("is not a folder") && refused.contains(file.path().to_str().unwrap()), "{refused}");
}

#[test]
fn a_folder_that_cannot_be_written_is_a_matter_of_permission() {
    if rustix::process::geteuid().is_root() {
        // Root may write anywhere; the mapping itself is tested beside it.
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let store = FsStore::open(folder.path()).unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o500)).unwrap();
    let refused = run(store.put("v/1", vec![Bytes::from_static(b"x")]));
    assert!(matches!(refused, Err(StoreError::Permission(_))), "{refused:?}");
}

#[test]
fn syncing_what_is_missing_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let store = FsStore::open(folder.path()).unwrap();
    assert!(run(store.sync(&["v/objects/9e/1".to_string()])).unwrap_err().is_not_found());
}

#[test]
fn a_store_whose_root_is_gone_refuses_puts_instead_of_starting_afresh() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    let store = FsStore::open(&root).unwrap();
    std::fs::remove_dir(&root).unwrap();
    assert!(run(store.put("v/1", vec![Bytes::from_static(b"x")])).unwrap_err().is_not_found());
    assert!(!root.exists());
}
