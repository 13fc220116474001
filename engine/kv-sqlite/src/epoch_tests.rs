//! Epochs of several handles on one file.

use super::*;

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("volume");
    (folder, database)
}

#[test]
fn only_foreign_commits_count_and_they_are_kept_after_their_owner() {
    let (_folder, database) = folder();
    let (one, two) = (Epoch::open(&database).unwrap(), Epoch::open(&database).unwrap());
    let before = one.foreign().unwrap();
    drop(one.commit_begins());
    assert_eq!(one.foreign(), Some(before));
    drop(two.commit_begins());
    let after = one.foreign().unwrap();
    assert!(after > before);
    drop(two);
    assert_eq!(one.foreign(), Some(after));
    let three = Epoch::open(&database).unwrap();
    drop(three.commit_begins());
    assert!(one.foreign().unwrap() > after, "the slot's next owner goes on counting");
}

#[test]
fn no_number_returns_while_a_foreign_commit_is_under_way() {
    let (_folder, database) = folder();
    let (one, two) = (Epoch::open(&database).unwrap(), Epoch::open(&database).unwrap());
    let mut seen = vec![one.foreign().unwrap()];
    let commit = two.commit_begins();
    seen.extend([one.foreign().unwrap(), one.foreign().unwrap()]);
    assert_eq!(one.of_all(), None);
    drop(commit);
    seen.push(one.foreign().unwrap());
    assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "{seen:?}");
    assert_eq!(one.foreign(), seen.last().copied(), "at rest it stands still");
    assert!(one.of_all().is_some());
}

#[test]
fn a_slot_whose_owner_died_in_a_commit_comes_to_rest() {
    let (_folder, database) = folder();
    let (one, two) = (Epoch::open(&database).unwrap(), Epoch::open(&database).unwrap());
    std::mem::forget(two.commit_begins());
    let (first, second) = (one.foreign().unwrap(), one.foreign().unwrap());
    assert!(second > first, "its owner lives: the commit may still become visible");
    drop(two);
    let third = one.foreign().unwrap();
    assert!(third > second, "the look that repairs does not trust");
    let fourth = one.foreign().unwrap();
    assert!(fourth > third);
    assert_eq!(one.foreign(), Some(fourth));
}

#[test]
fn who_finds_no_slot_cannot_tell_but_is_counted() {
    let (_folder, database) = folder();
    let owners: Vec<_> = (0..OWNED_SLOTS).map(|_| Epoch::open(&database).unwrap()).collect();
    let late = [Epoch::open(&database).unwrap(), Epoch::open(&database).unwrap()];
    assert!(late.iter().all(|epoch| epoch.foreign().is_none()));
    let before = owners[0].foreign().unwrap();
    drop(late[1].commit_begins());
    assert!(owners[0].foreign().unwrap() > before);
    drop(owners);
    assert!(Epoch::open(&database).unwrap().foreign().is_some(), "slots become free");
}

#[test]
fn turns_exclude_each_other_for_a_bounded_time() {
    let (_folder, database) = folder();
    let (one, two) = (Epoch::open(&database).unwrap(), Epoch::open(&database).unwrap());
    assert!(!two.anyone_waits());
    let turn = one.take_turn(Duration::ZERO).unwrap();
    assert!(two.anyone_waits(), "nobody may pass it");
    assert!(matches!(two.take_turn(Duration::from_millis(5)), Err(KvError::Unavailable(_))));
    drop(turn);
    assert!(!two.anyone_waits());
    assert!(two.take_turn(Duration::ZERO).is_ok());
}

#[test]
fn one_who_dies_waiting_holds_up_nobody_for_ever() {
    let (_folder, database) = folder();
    let (one, two) = (Epoch::open(&database).unwrap(), Epoch::open(&database).unwrap());
    std::mem::forget(WaitingGuard::enter(&two.slot(two.own).waiting));
    drop(two);
    assert!(one.anyone_waits());
    assert!(one.take_turn(Duration::ZERO).is_ok(), "the lock itself is free");
    drop(Epoch::open(&database).unwrap());
    assert!(!one.anyone_waits());
}
