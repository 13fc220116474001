//! Dumps, loads and migrations as their owners meet them.

#![allow(clippy::unwrap_used)]

mod sandbox;

use sandbox::{SHOAL, Sandbox, noise, text};
use std::fs;
use std::path::Path;
use std::process::Stdio;

/// A volume with small files, a large one and a tree, not mounted.
fn filled(sandbox: &mut Sandbox) -> String {
    let url = sandbox.format("a.db");
    let point = sandbox.mount(&url, "mnt", &[]);
    fs::create_dir_all(point.join("d/e")).unwrap();
    for number in 0..300 {
        fs::write(point.join(format!("d/e/{number}")), number.to_string()).unwrap();
    }
    fs::write(point.join("large"), noise(3 << 20, 1)).unwrap();
    fs::hard_link(point.join("large"), point.join("d/again")).unwrap();
    std::os::unix::fs::symlink("d/again", point.join("link")).unwrap();
    sandbox.umount(&point);
    url
}

fn check(sandbox: &mut Sandbox, url: &str) {
    sandbox.ends(&["fsck", url], 0);
    let point = sandbox.mount(url, "mnt", &[]);
    assert_eq!(fs::read_dir(point.join("d/e")).unwrap().count(), 300);
    assert_eq!(fs::read(point.join("d/e/217")).unwrap(), b"217");
    assert!(fs::read(point.join("link")).unwrap() == noise(3 << 20, 1));
    // What is written now gets objects that nothing has had before.
    fs::write(point.join("new"), noise(1 << 20, 2)).unwrap();
    assert!(fs::read(point.join("new")).unwrap() == noise(1 << 20, 2));
    sandbox.umount(&point);
}

#[test]
fn a_volume_comes_back_from_its_dump() {
    let mut sandbox = Sandbox::new();
    let url = filled(&mut sandbox);
    let (out, said) = sandbox.ends(&["dump", &url, "a.dump"], 0);
    assert!(out.is_empty() && said.contains("dumped the volume test"), "{said}");
    let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(sandbox.path("a.dump")).unwrap());
    assert_eq!(mode & 0o777, 0o600);
    sandbox.refused(&["dump", &url, "a.dump"], 4, &["a.dump", "already"]);
    sandbox.refused(&["load", "a.dump", &url], 4, &["it holds the volume test"]);
    let copy = sandbox.url("b.db");
    let (_, said) = sandbox.ends(&["load", "a.dump", &copy], 0);
    assert!(said.contains("loaded the volume test as of") && said.contains("a.objects"), "{said}");
    check(&mut sandbox, &copy);
    let gone = sandbox.ends(&["destroy", &url, "--keep-objects", "--yes"], 0).1;
    assert!(gone.contains("its objects are still"), "{gone}");
    check(&mut sandbox, &copy);
}

#[test]
fn a_dump_taken_in_use_goes_through_a_pipe_and_in_parts() {
    let mut sandbox = Sandbox::new();
    let url = filled(&mut sandbox);
    let point = sandbox.mount(&url, "mnt", &[]);
    let open = fs::File::open(point.join("d/e/0")).unwrap();
    fs::remove_file(point.join("d/e/0")).unwrap();
    let dump = sandbox.command(SHOAL).args(["dump", &url, "-"]).output().unwrap();
    assert!(dump.status.success(), "{}", text(&dump.stderr));
    drop(open);
    fs::write(point.join("d/e/0"), b"0").unwrap();
    sandbox.umount(&point);
    let folder = sandbox.folder("parts");
    for (number, part) in dump.stdout.chunks(1000).enumerate() {
        fs::write(folder.join(format!("dump-{number:06}")), part).unwrap();
    }
    let copy = sandbox.url("b.db");
    sandbox.ok(&["load", "parts/dump", &copy]);
    sandbox.ends(&["fsck", &copy], 0);
    fs::remove_file(folder.join("dump-000001")).unwrap();
    sandbox.refused(&["load", "parts/dump", &sandbox.url("c.db")], 8, &["parts/dump", "the dump is"]);
    let piped = sandbox.url("d.db");
    let mut load = sandbox.command(SHOAL);
    let mut load = load.args(["load", "-", &piped]).stdin(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut load.stdin.take().unwrap(), &dump.stdout).unwrap();
    assert!(load.wait().unwrap().success());
    let point = sandbox.mount(&piped, "mnt", &[]);
    assert_eq!(fs::read_dir(point.join("d/e")).unwrap().count(), 299);
    sandbox.umount(&point);
}

#[test]
fn what_a_load_left_half_done_is_no_volume_until_it_is_loaded_again() {
    let mut sandbox = Sandbox::new();
    let url = filled(&mut sandbox);
    sandbox.ok(&["dump", &url, "a.dump"]);
    let whole = fs::read(sandbox.path("a.dump")).unwrap();
    fs::write(sandbox.path("cut.dump"), &whole[..whole.len() - 7]).unwrap();
    fs::write(sandbox.path("no.dump"), b"a letter to the editor").unwrap();
    let copy = sandbox.url("b.db");
    sandbox.refused(&["load", "no.dump", &copy], 8, &["no.dump", "does not begin like"]);
    sandbox.refused(&["load", "missing.dump", &copy], 3, &["missing.dump"]);
    assert!(!sandbox.path("b.db").exists());
    sandbox.refused(&["load", "cut.dump", &copy], 8, &["cut.dump", "cut off", "--restart"]);
    let point = sandbox.mount_point("mnt");
    for command in [vec!["mount", &copy, point.to_str().unwrap()], vec!["status", &copy], vec!["fsck", &copy]] {
        sandbox.refused(&command, 4, &["not to its end", "--restart"]);
    }
    sandbox.refused(&["format", &copy, "x"], 4, &["not to its end"]);
    sandbox.refused(&["load", "a.dump", &copy], 4, &["not to its end"]);
    sandbox.refused(&["destroy", &copy], 9, &["--yes"]);
    sandbox.ok(&["load", "--restart", "a.dump", &copy]);
    check(&mut sandbox, &copy);
    sandbox.refused(&["load", "--restart", "a.dump", &copy], 4, &["it holds the volume test"]);
    let other = sandbox.url("c.db");
    sandbox.shoal(&["load", "cut.dump", &other]);
    sandbox.ok(&["destroy", &other, "--yes"]);
    assert!(!sandbox.path("c.db").exists() && sandbox.path("a.objects").exists());
}

#[test]
fn a_volume_in_use_is_not_migrated_and_one_at_rest_is_compared() {
    let mut sandbox = Sandbox::new();
    let url = filled(&mut sandbox);
    let copy = sandbox.url("b.db");
    let point = sandbox.mount(&url, "mnt", &[]);
    sandbox.refused(&["migrate", &url, &copy], 4, &["in use by", "umount"]);
    assert!(!sandbox.path("b.db").exists());
    sandbox.umount(&point);
    let (_, said) = sandbox.ends(&["migrate", &url, &copy], 0);
    assert!(said.contains("compared with") && said.contains("--keep-objects"), "{said}");
    sandbox.refused(&["migrate", &url, &copy], 4, &["it holds the volume test"]);
    sandbox.ok(&["destroy", &url, "--keep-objects", "--yes"]);
    check(&mut sandbox, &copy);
}

#[test]
fn what_is_sealed_stays_sealed_in_a_dump() {
    let secret = b"the anchor lies where the two reefs meet";
    let mut sandbox = Sandbox::new();
    let (url, key) = (sandbox.url("a.db"), sandbox.path("a.key"));
    let key = key.to_str().unwrap();
    sandbox.ok(&["key", "new", key]);
    sandbox.ok(&["format", &url, "a", "--encrypt", "aes-256-gcm", "--key-file", key]);
    let point = sandbox.mount(&url, "mnt", &["--key-file", key]);
    fs::write(point.join("small"), secret).unwrap();
    sandbox.umount(&point);
    // Without the key.
    sandbox.ok(&["dump", &url, "a.dump"]);
    let copy = sandbox.url("b.db");
    sandbox.ok(&["load", "a.dump", &copy]);
    let holds = |path: &Path| fs::read(path).unwrap().windows(secret.len()).any(|window| window == secret);
    assert!(!holds(&sandbox.path("b.db")));
    let point = sandbox.mount(&copy, "mnt", &["--key-file", key]);
    assert_eq!(fs::read(point.join("small")).unwrap(), secret);
    sandbox.umount(&point);
}

#[test]
fn a_mount_backs_the_metadata_up_beside_the_objects_and_a_load_brings_the_volume_back() {
    let mut sandbox = Sandbox::new();
    let url = filled(&mut sandbox);
    let uuid = sandbox.json(&["status", &url])["volume"]["uuid"].as_str().unwrap().to_owned();
    let folder = sandbox.path("a.objects").join(&uuid).join("metadata");
    let parts = || -> Vec<String> {
        let names = fs::read_dir(&folder).into_iter().flatten().flatten();
        let mut names: Vec<String> = names.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    // What a mount that was killed has left, an old one, and what is no backup.
    fs::create_dir_all(&folder).unwrap();
    for name in ["20200101T000000Z-000000-end", "20261126T000000Z-000000", "letter"] {
        fs::write(folder.join(name), b"x").unwrap();
    }
    let point = sandbox.mount(&url, "mnt", &["--backup-meta", "1h"]);
    let is_done = || parts().len() == 2 && parts()[0].ends_with("-000000-end");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !is_done() {
        assert!(std::time::Instant::now() < deadline, "{:?} {}", parts(), sandbox.logs());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    sandbox.umount(&point);
    let made = parts();
    // Not due again, whoever mounts.
    let point = sandbox.mount(&url, "mnt", &["-o", "backup_meta=1h"]);
    fs::write(point.join("later"), noise(1 << 20, 3)).unwrap();
    sandbox.umount(&point);
    assert_eq!(parts(), made);
    sandbox.ends(&["gc", &url, "--delete", "--grace", "0"], 0);
    sandbox.ends(&["fsck", &url], 0);
    assert_eq!(parts(), made, "gc takes no backup for a leaked object");
    // The metadata is lost.
    fs::remove_file(sandbox.path("a.db")).unwrap();
    let backup = folder.join(made[0].strip_suffix("-000000-end").unwrap());
    let copy = sandbox.url("b.db");
    sandbox.ok(&["load", backup.to_str().unwrap(), &copy]);
    check(&mut sandbox, &copy);
    let (out, _) = sandbox.ends(&["gc", &copy, "--delete", "--grace", "0"], 0);
    assert!(out.contains("removed now"), "what was made after the backup: {out}");
    fs::remove_file(folder.join("letter")).unwrap();
    sandbox.ok(&["destroy", &copy, "--yes"]);
    assert!(!sandbox.path("a.objects").exists());
}

#[test]
fn of_an_encrypted_volume_dumps_with_the_key_and_backups_show_no_name() {
    let mut sandbox = Sandbox::new();
    let (url, key, other) = (sandbox.url("a.db"), sandbox.path("a.key"), sandbox.path("b.key"));
    let (key, other) = (key.to_str().unwrap(), other.to_str().unwrap());
    for file in [key, other] {
        sandbox.ok(&["key", "new", file]);
    }
    sandbox.ok(&["format", &url, "a", "--encrypt", "aes-256-gcm", "--key-file", key]);
    let uuid = sandbox.json(&["status", &url])["volume"]["uuid"].as_str().unwrap().to_owned();
    let folder = sandbox.path("a.objects").join(&uuid).join("metadata");
    let backup = || -> Option<String> {
        let names = fs::read_dir(&folder).into_iter().flatten().flatten();
        let mut names = names.map(|entry| entry.file_name().into_string().unwrap());
        names.find_map(|name| Some(name.strip_suffix("-000000-end")?.to_owned()))
    };
    let mount_point = sandbox.mount_point("mnt");
    let too_often = ["mount", &url, mount_point.to_str().unwrap(), "--key-file", key, "--backup-meta", "1s"];
    sandbox.refused(&too_often, 2, &["too often"]);
    let point = sandbox.mount(&url, "mnt", &["--key-file", key]);
    fs::write(point.join("where the reefs meet"), b"an anchor").unwrap();
    sandbox.umount(&point);
    let point = sandbox.mount(&url, "mnt", &["--key-file", key, "--backup-meta", "1h"]);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while backup().is_none() {
        assert!(std::time::Instant::now() < deadline, "{}", sandbox.logs());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    sandbox.umount(&point);
    let backup = folder.join(backup().unwrap());
    let backup = backup.to_str().unwrap();
    sandbox.ok(&["dump", &url, "sealed.dump", "--key-file", key]);
    sandbox.ok(&["dump", &url, "open.dump"]);
    sandbox.refused(
        &["load", "open.dump", &sandbox.url("c.db"), "--key-file", key],
        2,
        &["not encrypted", "leave it out"],
    );
    // The key is opened by something else now, and the dumps by what opened it then.
    sandbox.ok(&["key", "rotate", &url, "--key-file", key, "--new-key-file", other]);
    for dump in ["sealed.dump", backup] {
        let copy = sandbox.url(if dump == backup { "b.db" } else { "d.db" });
        sandbox.refused(&["load", dump, &copy], 5, &[dump, "is encrypted", "--key-file"]);
        sandbox.refused(&["load", dump, &copy, "--key-file", other], 5, &["not the key file"]);
        sandbox.ok(&["load", dump, &copy, "--key-file", key]);
        let point = sandbox.mount(&copy, "mnt", &["--key-file", key]);
        assert_eq!(fs::read(point.join("where the reefs meet")).unwrap(), b"an anchor");
        sandbox.umount(&point);
    }
}
