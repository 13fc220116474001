//! Listing directories, while they change too.

use crate::harness::{Disk, names};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{DirEntryExt, MetadataExt};

const ENTRIES: usize = 2000;

fn fill(folder: &std::path::Path) -> BTreeSet<String> {
    let names: BTreeSet<String> = (0..ENTRIES).map(|number| format!("entry-{number:05}")).collect();
    for (index, name) in names.iter().enumerate() {
        match index % 3 {
            0 => fs::create_dir(folder.join(name)).unwrap(),
            _ => fs::write(folder.join(name), name).unwrap(),
        }
    }
    names
}

fn remove(path: &std::path::Path) {
    match fs::symlink_metadata(path).unwrap().is_dir() {
        true => fs::remove_dir(path).unwrap(),
        false => fs::remove_file(path).unwrap(),
    }
}

#[test]
fn a_large_directory_is_listed_whole_with_kinds_numbers_and_attributes() {
    let disk = Disk::new();
    let mount = disk.mount();
    fs::create_dir(mount.path("d")).unwrap();
    let expected = fill(&mount.path("d"));
    mount.unmount();
    // The second time the kernel knows the attributes of some entries.
    let mount = disk.mount();
    for _ in 0..2 {
        let mut found = BTreeSet::new();
        for entry in fs::read_dir(mount.path("d")).unwrap() {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            assert_eq!(entry.ino(), metadata.ino());
            assert_eq!(entry.file_type().unwrap().is_dir(), metadata.is_dir());
            let name = entry.file_name().into_string().unwrap();
            assert!(metadata.is_dir() || metadata.len() == name.len() as u64);
            assert!(found.insert(name), "listed once");
        }
        assert_eq!(found, expected);
    }
    mount.unmount();
}

#[test]
fn a_directory_can_be_emptied_while_it_is_listed() {
    let disk = Disk::new();
    let mount = disk.mount();
    fs::create_dir(mount.path("d")).unwrap();
    let expected = fill(&mount.path("d"));
    let mut seen = BTreeSet::new();
    for entry in fs::read_dir(mount.path("d")).unwrap() {
        let entry = entry.unwrap();
        remove(&entry.path());
        assert!(seen.insert(entry.file_name().into_string().unwrap()), "listed once");
    }
    assert_eq!(seen, expected);
    assert_eq!(names(&mount.path("d")), [""; 0]);
    fs::remove_dir(mount.path("d")).unwrap();
    mount.unmount();
}

#[test]
fn entries_that_stay_are_listed_whatever_goes_and_comes_meanwhile() {
    let disk = Disk::new();
    let mount = disk.mount();
    fs::create_dir(mount.path("d")).unwrap();
    let expected = fill(&mount.path("d"));
    let (gone, stay): (BTreeSet<_>, BTreeSet<_>) =
        expected.into_iter().partition(|name| name.ends_with(['1', '4', '7']));
    let mut listing = fs::read_dir(mount.path("d")).unwrap();
    let mut seen: BTreeSet<String> =
        listing.by_ref().take(100).map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    for name in &gone {
        remove(&mount.path("d").join(name));
        fs::write(mount.path("d").join(format!("new-{name}")), b"").unwrap();
    }
    for entry in listing {
        assert!(seen.insert(entry.unwrap().file_name().into_string().unwrap()), "listed once");
    }
    assert!(stay.is_subset(&seen));
    let now: BTreeSet<String> = names(&mount.path("d")).into_iter().collect();
    assert_eq!(now.len(), ENTRIES);
    assert!(gone.is_disjoint(&now));
    mount.unmount();
}

#[test]
fn many_threads_fill_one_directory() {
    const THREADS: usize = 4;
    const FILES: usize = 250;
    let disk = Disk::new();
    let mount = disk.mount();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let folder = mount.root();
            scope.spawn(move || {
                for file in 0..FILES {
                    fs::write(folder.join(format!("{thread}-{file}")), [thread as u8; 5]).unwrap();
                }
            });
        }
    });
    assert_eq!(names(mount.root()).len(), THREADS * FILES);
    for thread in 0..THREADS {
        assert_eq!(fs::read(mount.path(&format!("{thread}-0"))).unwrap(), [thread as u8; 5]);
    }
    mount.unmount();
}
