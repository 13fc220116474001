//! Compressed and encrypted volumes as their owners meet them.

#![allow(clippy::unwrap_used)]

mod sandbox;

use sandbox::{Sandbox, noise, text};
use std::fs;
use std::path::{Path, PathBuf};

const SECRET: &[u8] = b"the anchor lies where the two reefs meet";

/// A volume that a key file opens, and that file.
fn encrypted(sandbox: &Sandbox, options: &[&str]) -> (String, PathBuf) {
    let (url, key) = (sandbox.url("a.db"), sandbox.path("a.key"));
    sandbox.ok(&["key", "new", key.to_str().unwrap()]);
    let fixed = ["format", &url, "a", "--encrypt", "aes-256-gcm", "--key-file", key.to_str().unwrap()];
    sandbox.ok(&[&fixed[..], options].concat());
    (url, key)
}

/// A file that stays in the metadata, one of one object, and one of several.
fn fill(point: &Path) {
    fs::write(point.join("small"), SECRET).unwrap();
    fs::write(point.join("middle"), SECRET.repeat(1000)).unwrap();
    fs::write(point.join("large"), [SECRET.repeat(200_000), noise(1 << 20, 7)].concat()).unwrap();
}

fn check(point: &Path) {
    assert_eq!(fs::read(point.join("small")).unwrap(), SECRET);
    assert!(fs::read(point.join("middle")).unwrap() == SECRET.repeat(1000));
    assert!(fs::read(point.join("large")).unwrap() == [SECRET.repeat(200_000), noise(1 << 20, 7)].concat());
}

fn holds_secret(path: &Path) -> bool {
    fs::read(path).unwrap().windows(SECRET.len()).any(|window| window == SECRET)
}

#[test]
fn nothing_of_a_files_content_is_stored_in_the_clear_and_all_of_it_comes_back() {
    let mut sandbox = Sandbox::new();
    let (url, key) = encrypted(&sandbox, &["--compress", "zstd", "--encrypt-also", "symlinks,xattrs"]);
    let key = key.to_str().unwrap();
    let point = sandbox.mount(&url, "mnt", &["--key-file", key, "--no-cache"]);
    fill(&point);
    check(&point);
    std::os::unix::fs::symlink(text(SECRET), point.join("link")).unwrap();
    rustix::fs::setxattr(point.join("small"), "user.note", SECRET, rustix::fs::XattrFlags::empty()).unwrap();
    sandbox.umount(&point);
    let objects = sandbox.objects("a.objects");
    assert!(objects.len() >= 3, "{objects:?}");
    for file in objects.iter().chain([&sandbox.path("a.db")]) {
        assert!(!holds_secret(file), "{}", file.display());
    }
    let point = sandbox.mount(&url, "mnt", &["-o", &format!("key_file={key}"), "--no-cache"]);
    check(&point);
    assert_eq!(fs::read_link(point.join("link")).unwrap().to_str(), Some(text(SECRET).as_str()));
    let mut note = vec![0; SECRET.len()];
    let length = rustix::fs::getxattr(point.join("small"), "user.note", &mut note[..]).unwrap();
    assert_eq!(&note[..length], SECRET);
    let status = sandbox.json(&["status", &url]);
    assert_eq!(
        (&status["volume"]["compression"], &status["volume"]["cipher"]),
        (&"zstd:1".into(), &"aes-256-gcm".into())
    );
    assert_eq!(status["volume"]["also_encrypted"], serde_json::json!({ "symlinks": true, "xattrs": true }));
    // Without the key as well: what is asked for is lengths.
    let info = sandbox.json(&["info", point.join("small").to_str().unwrap()]);
    assert_eq!(info["inline"], SECRET.len());
    sandbox.umount(&point);
    sandbox.ends(&["fsck", &url], 0);
    sandbox.ends(&["gc", &url], 0);
    sandbox.ends(&["fsck", &url, "--data", "--key-file", key], 0);
}

#[test]
fn an_encrypted_cache_shows_nothing_and_serves_what_it_has_kept() {
    let mut sandbox = Sandbox::new();
    let (url, key) = encrypted(&sandbox, &["--inline-max", "0"]);
    let key = key.to_str().unwrap();
    let cache = sandbox.folder("cache");
    let options = ["--key-file", key, "--encrypt-cache", "--cache-dir", cache.to_str().unwrap()];
    let kept = || {
        let listed = std::process::Command::new("find").arg(&cache).args(["-name", "*.data"]).output().unwrap();
        text(&listed.stdout).lines().map(PathBuf::from).collect::<Vec<_>>()
    };
    let point = sandbox.mount(&url, "mnt", &options);
    fill(&point);
    sandbox.umount(&point);
    let point = sandbox.mount(&url, "mnt", &options);
    check(&point);
    sandbox.ok(&["warmup", point.to_str().unwrap()]);
    sandbox.umount(&point);
    assert_eq!(kept().len(), 3);
    assert!(kept().iter().all(|file| !holds_secret(file)));
    // What it serves now is what it has kept: there is nothing else.
    for object in sandbox.objects("a.objects") {
        fs::remove_file(object).unwrap();
    }
    let point = sandbox.mount(&url, "mnt", &options);
    check(&point);
    sandbox.umount(&point);
    let plain = sandbox.format("b.db");
    let point = sandbox.mount_point("mnt");
    sandbox.refused(
        &["mount", &plain, point.to_str().unwrap(), "--encrypt-cache"],
        2,
        &["not encrypted", "leave it out"],
    );
    let none = ["mount", &url, point.to_str().unwrap(), "--key-file", key, "--encrypt-cache", "--no-cache"];
    sandbox.refused(&none, 2, &["--no-cache"]);
}

#[test]
fn an_object_that_was_changed_is_refused_and_found_by_fsck_with_its_path() {
    let mut sandbox = Sandbox::new();
    let (url, key) = encrypted(&sandbox, &[]);
    let key = key.to_str().unwrap();
    let point = sandbox.mount(&url, "mnt", &["--key-file", key, "--no-cache"]);
    fs::write(point.join("f"), SECRET.repeat(1000)).unwrap();
    sandbox.umount(&point);
    let object = sandbox.objects("a.objects").pop().unwrap();
    let mut bytes = fs::read(&object).unwrap();
    bytes[1000] ^= 1;
    fs::write(&object, bytes).unwrap();
    let (out, _) = sandbox.ends(&["fsck", &url, "--data", "--key-file", key], 1);
    assert!(out.contains("/f: object") && out.contains("sealed"), "{out}");
    let point = sandbox.mount(&url, "mnt", &["--key-file", key, "--no-cache"]);
    assert_eq!(fs::read(point.join("f")).unwrap_err().raw_os_error(), Some(5));
    sandbox.umount(&point);
}

#[test]
fn a_wrong_key_is_told_in_one_line_and_nothing_is_touched() {
    let mut sandbox = Sandbox::new();
    let (url, key) = encrypted(&sandbox, &[]);
    let point = sandbox.mount_point("mnt");
    let point = point.to_str().unwrap();
    let other = sandbox.path("other.key");
    let other = other.to_str().unwrap();
    sandbox.ok(&["key", "new", other]);
    sandbox.refused(&["key", "new", other], 4, &[other, "already"]);
    let before = fs::read(sandbox.path("a.db")).unwrap();
    sandbox.refused(&["mount", &url, point], 5, &["a is encrypted", "--key-file"]);
    sandbox.refused(&["fsck", &url, "--data"], 5, &["a is encrypted"]);
    sandbox.refused(&["mount", &url, point, "--key-file", other], 5, &[other, "not the key file"]);
    sandbox.refused(&["mount", &url, point, "--passphrase-env", "HOME"], 2, &["--passphrase-env", "a key file"]);
    fs::write(sandbox.path("no.key"), "nonsense").unwrap();
    sandbox.refused(&["mount", &url, point, "--key-file", "no.key"], 2, &["no.key", "PEM"]);
    sandbox.refused(&["mount", &url, point, "--key-file", "missing"], 3, &["missing"]);
    assert!(fs::read(sandbox.path("a.db")).unwrap() == before);
    let plain = sandbox.format("b.db");
    let key = key.to_str().unwrap();
    sandbox.refused(&["mount", &plain, point, "--key-file", key], 2, &["not encrypted"]);
    let url = sandbox.url("c.db");
    sandbox.refused(&["format", &url, "c", "--encrypt", "aes-256-gcm"], 2, &["--key-file"]);
    sandbox.refused(&["format", &url, "c", "--key-file", key], 2, &["--encrypt"]);
    let (_, said) = sandbox.ends(&["format", &url, "c", "--encrypt", "rot13", "--key-file", key], 2);
    assert!(said.contains("rot13") && said.contains("chacha20-poly1305"), "{said}");
    let (_, said) = sandbox.ends(&["format", &url, "c", "--compress", "zstd:40"], 2);
    assert!(said.contains("zstd:40") && said.contains("-7 to 19"), "{said}");
    assert!(!sandbox.path("c.db").exists() && !sandbox.path("c.objects").exists());
}

#[test]
fn after_a_rotation_the_new_key_opens_the_volume_and_the_old_one_does_not() {
    let mut sandbox = Sandbox::new();
    let (url, key) = encrypted(&sandbox, &[]);
    let key = key.to_str().unwrap();
    let point = sandbox.mount(&url, "mnt", &["--key-file", key]);
    fill(&point);
    let rotate = ["key", "rotate", &url, "--key-file", key, "--new-passphrase-env", "WORDS"];
    let output = sandbox.command(sandbox::SHOAL).args(rotate).env("WORDS", "open sesame").output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    // What is mounted goes on.
    fs::write(point.join("after"), SECRET.repeat(1000)).unwrap();
    sandbox.umount(&point);
    let shown = point.to_str().unwrap().to_owned();
    sandbox.refused(&["mount", &url, &shown, "--key-file", key], 2, &["a passphrase"]);
    let mount = |words: &str| {
        let arguments = ["mount", &url, &shown, "--passphrase-env", "WORDS"];
        sandbox.command(sandbox::SHOAL).args(arguments).env("WORDS", words).output().unwrap()
    };
    let wrong = mount("open barley");
    assert_eq!(wrong.status.code(), Some(5));
    assert!(text(&wrong.stderr).contains("passphrase is wrong"), "{}", text(&wrong.stderr));
    assert!(!text(&wrong.stderr).contains("barley"));
    assert!(mount("open sesame").status.success());
    check(&point);
    assert!(fs::read(point.join("after")).unwrap() == SECRET.repeat(1000));
    sandbox.umount(&point);
}

#[test]
fn compressed_volumes_take_less_room() {
    let mut sandbox = Sandbox::new();
    for (compress, share) in [("lz4", 20), ("zstd:3", 100)] {
        let name = compress.replace(':', "");
        let url = sandbox.url(&format!("{name}.db"));
        sandbox.ok(&["format", &url, &name, "--compress", compress]);
        let point = sandbox.mount(&url, &name, &["--no-cache"]);
        let content = SECRET.repeat(100_000);
        fs::write(point.join("f"), &content).unwrap();
        assert!(fs::read(point.join("f")).unwrap() == content);
        sandbox.umount(&point);
        let objects = sandbox.objects(&format!("{name}.objects"));
        let stored: u64 = objects.iter().map(|object| fs::metadata(object).unwrap().len()).sum();
        assert!(stored < content.len() as u64 / share, "{compress}: {stored}");
        sandbox.ends(&["fsck", &url, "--data"], 0);
    }
}
