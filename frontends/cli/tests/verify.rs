//! `shoal verify`: what it reads, what it finds, and that it tells every file concerned.

#![allow(clippy::unwrap_used)]

mod sandbox;

use sandbox::{Sandbox, noise};
use shoal_metadata::keys::Key;
use shoal_types::Ino;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const MIB: usize = 1 << 20;

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn flip(object: &Path) {
    let mut bytes = fs::read(object).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(object, bytes).unwrap();
}

#[test]
fn a_tree_is_read_whole_and_each_file_of_a_damaged_object_is_told_once() {
    let mut sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    let point = sandbox.mount(&url, "mnt", &[]);
    fs::create_dir_all(point.join("one/below")).unwrap();
    fs::create_dir(point.join("other")).unwrap();
    fs::write(point.join("one/below/large"), noise(9 * MIB, 1)).unwrap();
    fs::hard_link(point.join("one/below/large"), point.join("one/again")).unwrap();
    fs::write(point.join("other/sound"), noise(5 * MIB, 2)).unwrap();
    fs::write(point.join("other/small"), noise(100, 3)).unwrap();
    let (_, err) = sandbox.ends(&["verify", path(&point.join("one"))], 0);
    assert!(err.contains("read 3 objects of 9.") && err.contains("a second"), "{err}");
    sandbox.ok(&["clone", path(&point.join("one/below/large")), path(&point.join("one/copy"))]);
    let info = sandbox.json(&["info", path(&point.join("one/copy"))]);
    let place =
        |slice: usize| sandbox.path("a.objects").join(info["chunks"][0]["slices"][slice]["key"].as_str().unwrap());
    flip(&place(0));
    fs::remove_file(place(1)).unwrap();

    let (out, err) = sandbox.ends(&["verify", path(&point.join("one"))], 1);
    assert_eq!((out.lines().count(), out.matches("is damaged: ").count()), (4, 2), "{out}");
    assert_eq!(out.matches("/one/copy: object ").count(), 2, "{out}");
    assert_eq!(out.matches("is missing in the store").count(), 2, "{out}");
    assert!(err.contains("4 findings"), "{err}");
    let (out, _) = sandbox.ends(&["verify", path(&point.join("other")), path(&point.join("one/copy"))], 1);
    assert_eq!(out.lines().count(), 2, "{out}");
    sandbox.ends(&["verify", path(&point.join("other"))], 0);
    sandbox.umount(&point);
    let (out, _) = sandbox.ends(&["verify", "--all", &url], 1);
    assert_eq!(out.lines().count(), 4, "{out}");
}

#[test]
fn what_the_metadata_holds_of_an_encrypted_volume_is_checked_too() {
    let mut sandbox = Sandbox::new();
    let (url, key) = (sandbox.url("a.db"), sandbox.path("a.key"));
    let key = path(&key);
    sandbox.ok(&["key", "new", key]);
    sandbox.ok(&["format", &url, "a", "--encrypt", "aes-256-gcm", "--key-file", key]);
    let point = sandbox.mount(&url, "mnt", &["--key-file", key]);
    fs::write(point.join("small"), b"secret").unwrap();
    fs::write(point.join("other"), b"another secret").unwrap();
    let ino = Ino(fs::metadata(point.join("small")).unwrap().ino());
    sandbox.umount(&point);
    sandbox.ends(&["verify", "--all", &url, "--key-file", key], 0);
    sandbox.refused(&["verify", "--all", &url], 5, &["a is encrypted"]);
    sandbox.change(&url, move |transaction| {
        let inline = Key::Inline(ino).encode();
        let mut sealed = transaction.get(&inline).unwrap().unwrap();
        sealed[3] ^= 1;
        transaction.put(&inline, &sealed);
    });
    for command in [&["verify", "--all", &url][..], &["fsck", &url, "--data"]] {
        let (out, _) = sandbox.ends(&[command, &["--key-file", key]].concat(), 1);
        assert!(out.starts_with("/small: ") && out.contains("sealed") && out.lines().count() == 1, "{out}");
    }
}

#[test]
fn what_is_in_no_mounted_volume_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.refused(&["verify", path(&sandbox.folder("plain"))], 3, &["plain", "not in a mounted volume"]);
    assert_eq!(sandbox.shoal(&["verify"]).status.code(), Some(2));
}
