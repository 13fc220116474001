//! What rename promises, case by case.

use super::*;
use crate::testing::*;
use shoal_types::{Attributes, Whiteout};

const WHITEOUT: Whiteout = Whiteout { ino: Ino(20), uid: 5, gid: 6 };
const PLAIN: RenameFlags = RenameFlags { no_replace: false, exchange: false, whiteout: None };
const NO_REPLACE: RenameFlags = RenameFlags { no_replace: true, ..PLAIN };
const EXCHANGE: RenameFlags = RenameFlags { exchange: true, ..PLAIN };

/// `d` (2) holds `e` (3), which holds the file `x` (6); beside `d` stand an empty directory `empty` (4), a file `f` (5).
fn sample() -> Oracle {
    let mut oracle = Oracle::new();
    oracle.mkdir(Ino::ROOT, &name("d"), new(2), at(1)).unwrap();
    oracle.mkdir(Ino(2), &name("e"), new(3), at(1)).unwrap();
    oracle.mkdir(Ino::ROOT, &name("empty"), new(4), at(1)).unwrap();
    oracle.create(Ino::ROOT, &name("f"), new(5), at(1)).unwrap();
    oracle.create(Ino(3), &name("x"), new(6), at(1)).unwrap();
    oracle
}

fn rename(oracle: &mut Oracle, old: (u64, &str), new: (u64, &str), flags: RenameFlags) -> FsResult<()> {
    oracle.rename(Ino(old.0), &name(old.1), Ino(new.0), &name(new.1), flags, at(9))
}

fn attributes(oracle: &Oracle, ino: u64) -> Attributes {
    oracle.get_attributes(Ino(ino)).unwrap()
}

/// The refusal, and that nothing changed by it.
fn refused(old: (u64, &str), new: (u64, &str), flags: RenameFlags) -> Errno {
    let mut oracle = sample();
    let refusal = rename(&mut oracle, old, new, flags).unwrap_err();
    assert_eq!(oracle.tree(), sample().tree());
    assert!(oracle.inodes().iter().all(|ino| oracle.get_attributes(*ino).unwrap().ctime != at(9)));
    refusal
}

#[test]
fn a_move_touches_both_parents_and_the_moved_inode() {
    let mut oracle = sample();
    rename(&mut oracle, (1, "f"), (2, "g"), PLAIN).unwrap();
    assert_eq!(oracle.lookup(Ino(2), &name("g")).unwrap().ino, Ino(5));
    assert_eq!(oracle.lookup(Ino::ROOT, &name("f")), Err(Errno::ENOENT));
    assert_eq!((attributes(&oracle, 1).mtime, attributes(&oracle, 2).ctime), (at(9), at(9)));
    assert_eq!((attributes(&oracle, 5).ctime, attributes(&oracle, 5).mtime), (at(9), at(1)));
}

#[test]
fn a_moved_directory_moves_a_link_between_its_parents() {
    let mut oracle = sample();
    rename(&mut oracle, (2, "e"), (4, "e"), PLAIN).unwrap();
    assert_eq!((attributes(&oracle, 2).nlink, attributes(&oracle, 4).nlink), (2, 3));
    assert_eq!((attributes(&oracle, 2).length, attributes(&oracle, 4).length), (0, 1));
}

#[test]
fn a_replaced_file_loses_a_name_and_lives_while_it_is_open() {
    let mut oracle = sample();
    oracle.open(Ino(5)).unwrap();
    rename(&mut oracle, (3, "x"), (1, "f"), PLAIN).unwrap();
    assert_eq!((attributes(&oracle, 5).nlink, attributes(&oracle, 5).ctime), (0, at(9)));
    oracle.close(Ino(5)).unwrap();
    assert_eq!(oracle.get_attributes(Ino(5)), Err(Errno::ENOENT));
}

#[test]
fn a_directory_replaces_only_an_empty_directory() {
    let mut oracle = sample();
    rename(&mut oracle, (2, "e"), (1, "empty"), PLAIN).unwrap();
    assert_eq!(oracle.get_attributes(Ino(4)), Err(Errno::ENOENT));
    assert_eq!((attributes(&oracle, 1).nlink, attributes(&oracle, 1).length), (4, 3));
    assert_eq!(refused((1, "empty"), (1, "d"), PLAIN), Errno::ENOTEMPTY);
    assert_eq!(refused((1, "empty"), (1, "f"), PLAIN), Errno::ENOTDIR);
    assert_eq!(refused((1, "f"), (1, "empty"), PLAIN), Errno::EISDIR);
}

#[test]
fn two_names_of_one_inode_stay_both_and_no_time_changes() {
    let mut oracle = sample();
    oracle.link(Ino(5), Ino::ROOT, &name("g"), at(2)).unwrap();
    for flags in [PLAIN, EXCHANGE, RenameFlags { whiteout: Some(WHITEOUT), ..PLAIN }] {
        rename(&mut oracle, (1, "f"), (1, "g"), flags).unwrap();
    }
    assert_eq!((attributes(&oracle, 5).nlink, attributes(&oracle, 5).ctime), (2, at(2)));
    assert_eq!(attributes(&oracle, 1).mtime, at(2));
    assert_eq!(rename(&mut oracle, (1, "f"), (1, "g"), NO_REPLACE), Err(Errno::EEXIST));
}

#[test]
fn no_directory_moves_into_itself_or_below() {
    assert_eq!(refused((1, "d"), (2, "d"), PLAIN), Errno::EINVAL);
    assert_eq!(refused((1, "d"), (3, "d"), PLAIN), Errno::EINVAL);
    assert_eq!(refused((1, "d"), (3, "x"), EXCHANGE), Errno::EINVAL);
}

#[test]
fn nothing_replaces_its_own_ancestor() {
    assert_eq!(refused((2, "e"), (1, "d"), PLAIN), Errno::ENOTEMPTY);
    assert_eq!(refused((3, "x"), (1, "d"), PLAIN), Errno::ENOTEMPTY);
    assert_eq!(refused((3, "x"), (1, "d"), EXCHANGE), Errno::EINVAL);
}

#[test]
fn missing_names_and_wrong_parents_are_refused_in_order() {
    assert_eq!(refused((1, "no"), (5, "x"), PLAIN), Errno::ENOENT);
    assert_eq!(refused((5, "x"), (1, "f"), PLAIN), Errno::ENOTDIR);
    assert_eq!(refused((1, "f"), (5, "x"), PLAIN), Errno::ENOTDIR);
    assert_eq!(refused((1, "f"), (99, "x"), PLAIN), Errno::ENOENT);
    assert_eq!(refused((1, "f"), (1, "no"), EXCHANGE), Errno::ENOENT);
    assert_eq!(refused((1, "f"), (1, "d"), NO_REPLACE), Errno::EEXIST);
}

#[test]
fn nothing_moves_into_a_removed_directory() {
    let mut oracle = sample();
    oracle.open(Ino(4)).unwrap();
    oracle.rmdir(Ino::ROOT, &name("empty"), at(2)).unwrap();
    assert_eq!(rename(&mut oracle, (1, "f"), (4, "f"), PLAIN), Err(Errno::ENOENT));
}

#[test]
fn flags_that_exclude_each_other_are_refused_first() {
    let both = RenameFlags { no_replace: true, exchange: true, whiteout: None };
    assert_eq!(refused((1, "no"), (1, "f"), both), Errno::EINVAL);
    let both = RenameFlags { exchange: true, whiteout: Some(WHITEOUT), no_replace: false };
    assert_eq!(refused((1, "d"), (1, "f"), both), Errno::EINVAL);
}

#[test]
fn an_exchange_swaps_any_two_kinds_and_their_parents() {
    let mut oracle = sample();
    rename(&mut oracle, (2, "e"), (1, "f"), EXCHANGE).unwrap();
    assert_eq!(oracle.lookup(Ino(2), &name("e")).unwrap().ino, Ino(5));
    assert_eq!(oracle.lookup(Ino::ROOT, &name("f")).unwrap().ino, Ino(3));
    assert_eq!((attributes(&oracle, 2).nlink, attributes(&oracle, 1).nlink), (2, 5));
    assert_eq!((attributes(&oracle, 5).ctime, attributes(&oracle, 3).ctime), (at(9), at(9)));
    // `e` hangs below the root now, so `d` may move into it.
    rename(&mut oracle, (1, "d"), (3, "d"), PLAIN).unwrap();
}

#[test]
fn a_whiteout_takes_the_old_name() {
    let mut oracle = sample();
    rename(&mut oracle, (1, "f"), (2, "f"), RenameFlags { whiteout: Some(WHITEOUT), ..NO_REPLACE }).unwrap();
    let whiteout = oracle.lookup(Ino::ROOT, &name("f")).unwrap();
    assert_eq!((whiteout.ino, whiteout.kind, whiteout.mode, whiteout.rdev), (Ino(20), FileKind::CharDevice, 0, 0));
    assert_eq!((whiteout.uid, whiteout.gid), (5, 6));
    assert_eq!(oracle.lookup(Ino(2), &name("f")).unwrap().ino, Ino(5));
}
