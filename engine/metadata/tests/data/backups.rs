//! One session at a time backs the metadata up, and a dead one holds up nobody.

use crate::support::*;
use shoal_metadata::{BackupTurn, EndSession, MetaOp, check};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn one_session_at_a_time_makes_a_backup_and_the_next_one_when_it_is_due() {
    let volume = Volume::new();
    let other = register(&volume.metadata, 2);
    let turn = |session, seconds| volume.metadata.take_backup_turn(session, HOUR, at(seconds)).unwrap();
    assert_eq!(volume.metadata.last_backup(), Ok(None));
    assert_eq!(turn(other, 100), BackupTurn::Own);
    assert_eq!(turn(other, 101), BackupTurn::Own, "asked again");
    assert_eq!(turn(volume.session, 102), BackupTurn::Other(other));
    volume.metadata.end_backup_turn(volume.session, Some(at(1))).unwrap();
    assert_eq!(turn(volume.session, 103), BackupTurn::Other(other), "nobody ends another's turn");
    volume.metadata.end_backup_turn(other, Some(at(100))).unwrap();
    assert_eq!(volume.metadata.last_backup(), Ok(Some(at(100))));
    assert_eq!(turn(volume.session, 3699), BackupTurn::NotYet(at(100)));
    assert_eq!(turn(volume.session, 3700), BackupTurn::Own);
    // One that failed leaves the turn to whoever comes first.
    volume.metadata.end_backup_turn(volume.session, None).unwrap();
    assert_eq!(turn(other, 3701), BackupTurn::Own);
    assert_eq!(check::run(&volume.metadata, &mut |_| {}).unwrap().findings, []);
}

#[test]
fn the_turn_of_a_dead_session_and_a_backup_of_the_future_hold_up_nobody() {
    let volume = Volume::new();
    let dead = register(&volume.metadata, 2);
    let turn = |session, seconds| volume.metadata.take_backup_turn(session, HOUR, at(seconds)).unwrap();
    assert_eq!(turn(dead, 100), BackupTurn::Own);
    volume.run_steps(MetaOp::EndSession(EndSession { session: dead, if_silent_since: None, now: at(9) }));
    assert_eq!(turn(volume.session, 101), BackupTurn::Own);
    volume.metadata.end_backup_turn(volume.session, Some(at(1_000_000))).unwrap();
    assert_eq!(turn(volume.session, 200), BackupTurn::Own);
}
