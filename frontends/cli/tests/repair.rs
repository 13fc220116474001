//! `shoal fsck --repair`: what it mends, that nothing changes without it, and that it waits for nobody to be there.

#![allow(clippy::unwrap_used)]

mod sandbox;

use sandbox::{Sandbox, kill, noise};
use shoal_metadata::keys::{Accumulator, Counter, Key, cookie};
use shoal_types::Ino;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const MIB: usize = 1 << 20;

fn ino(path: &Path) -> Ino {
    Ino(fs::metadata(path).unwrap().ino())
}

#[test]
fn a_damaged_volume_is_told_first_and_mended_only_when_asked() {
    let mut sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    let point = sandbox.mount(&url, "mnt", &[]);
    fs::create_dir_all(point.join("folder/below")).unwrap();
    fs::write(point.join("folder/below/large"), noise(5 * MIB, 1)).unwrap();
    fs::write(point.join("gone"), b"text").unwrap();
    fs::write(point.join("nameless"), b"still here").unwrap();
    let (folder, gone, nameless) = (ino(&point.join("folder")), ino(&point.join("gone")), ino(&point.join("nameless")));
    sandbox.umount(&point);
    sandbox.ends(&["fsck", &url, "--repair"], 0);
    sandbox.change(&url, move |transaction| {
        let entry = |name: &'static [u8]| Key::Dirent(Ino::ROOT, cookie(Ino::ROOT, name), name).encode();
        transaction.delete(&Key::Identity(gone).encode());
        for key in [Key::Inline(gone), Key::Accumulator(gone, Accumulator::Length)] {
            transaction.delete(&key.encode());
        }
        transaction.delete(&entry(b"nameless"));
        transaction.add(&Key::Accumulator(folder, Accumulator::Entries).encode(), 7);
        transaction.add(&Key::Counter(Counter::UsedBytes).encode(), 100);
    });
    let before = sandbox.records(&url);
    let (out, err) = sandbox.ends(&["fsck", &url], 1);
    assert!(err.contains("--repair") && out.contains("'gone'") && !out.contains("mended"), "{out}{err}");
    assert!(sandbox.records(&url) == before, "looking changes nothing");

    let (out, err) = sandbox.ends(&["fsck", &url, "--repair"], 0);
    assert!(out.contains("'gone' leads to") && out.contains("mended: the entry is removed"), "{out}");
    assert!(out.contains("lost+found") && err.contains("is sound"), "{out}{err}");
    sandbox.ends(&["fsck", &url, "--data"], 0);
    let point = sandbox.mount(&url, "mnt", &[]);
    assert_eq!(fs::read(point.join(format!("lost+found/#{}", nameless.0))).unwrap(), b"still here");
    assert!(fs::read(point.join("folder/below/large")).unwrap() == noise(5 * MIB, 1));
    assert!(!point.join("gone").exists());
    fs::write(point.join("gone"), b"again").unwrap();
    sandbox.umount(&point);
}

#[test]
fn nothing_is_mended_under_a_mount_and_what_a_dead_one_left_is() {
    let mut sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    let point = sandbox.mount(&url, "mnt", &[]);
    let open = fs::File::create(point.join("removed while open")).unwrap();
    fs::remove_file(point.join("removed while open")).unwrap();
    sandbox.refused(&["fsck", &url, "--repair"], 4, &["in use", "unmount"]);
    kill(sandbox.daemon(&url), "KILL");
    drop(open);
    let (_, err) = sandbox.ends(&["fsck", &url, "--repair"], 0);
    assert!(err.contains("ended 1 session"), "{err}");
    sandbox.umount(&point);
}

#[test]
fn files_that_lost_objects_are_told_also_when_all_else_is_mended() {
    let mut sandbox = Sandbox::new();
    let url = sandbox.format("a.db");
    let point = sandbox.mount(&url, "mnt", &[]);
    fs::write(point.join("large"), noise(5 * MIB, 1)).unwrap();
    sandbox.umount(&point);
    fs::remove_file(&sandbox.objects("a.objects")[0]).unwrap();
    sandbox.change(&url, |transaction| transaction.add(&Key::Counter(Counter::UsedInodes).encode(), 1));
    let (out, err) = sandbox.ends(&["fsck", &url, "--repair"], 1);
    assert!(out.contains("mended") && out.contains("/large: object") && out.contains("is missing"), "{out}");
    assert!(err.contains("1 finding"), "{err}");
}
