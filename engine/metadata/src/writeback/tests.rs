//! What is known of write-back folders, and of what was deleted in them.

use super::*;
use crate::{ForgetObjects, MetaOp, MetaReply};
use shoal_kv::MemoryKv;
use shoal_types::Timestamp;

fn metadata() -> Metadata {
    Metadata::new(MemoryKv::new())
}

fn folder(host: &str) -> WritebackFolder {
    WritebackFolder {
        host: host.into(),
        path: "/w".into(),
        mount_point: "/m".into(),
        objects: 1,
        bytes: 2,
        noted: Timestamp::new(3, 4),
    }
}

fn forget(metadata: &Metadata, objects: &[u64]) {
    let entries = objects.iter().map(|object| (7, ObjectId(*object))).collect();
    let reply = metadata.run(MetaOp::ForgetObjects(ForgetObjects { entries }), Durability::Visible).unwrap();
    assert!(matches!(reply, MetaReply::Done));
}

#[test]
fn a_folder_is_known_until_nothing_waits_for_it() {
    let metadata = metadata();
    assert!(!metadata.has_writeback_folders().unwrap());
    forget(&metadata, &[1, 2]);
    metadata.note_writeback_folder(8, &folder("a"), Durability::Durable).unwrap();
    metadata.note_writeback_folder(9, &folder("b"), Durability::Durable).unwrap();
    assert!(metadata.has_writeback_folders().unwrap());
    assert_eq!(metadata.writeback_folders().unwrap(), [(8, folder("a")), (9, folder("b"))]);
    forget(&metadata, &[3, 4]);
    // What was deleted before there was a folder is in none.
    assert_eq!(metadata.deleted_in_writeback(8).unwrap(), [ObjectId(3), ObjectId(4)]);
    assert!(!metadata.forget_writeback_folder(8).unwrap());
    metadata.forget_deleted_in_writeback(8, &[ObjectId(3), ObjectId(4)]).unwrap();
    assert!(metadata.forget_writeback_folder(8).unwrap());
    assert_eq!(metadata.writeback_folders().unwrap(), [(9, folder("b"))]);
    assert_eq!(metadata.deleted_in_writeback(9).unwrap(), [ObjectId(3), ObjectId(4)]);
}

#[test]
fn of_a_folder_that_was_emptied_into_another_the_deleted_objects_go_along() {
    let metadata = metadata();
    metadata.note_writeback_folder(8, &folder("a"), Durability::Durable).unwrap();
    forget(&metadata, &[3]);
    metadata.note_writeback_folder(9, &folder("a"), Durability::Durable).unwrap();
    forget(&metadata, &[4]);
    metadata.merge_writeback_folder(8, 9).unwrap();
    assert_eq!(metadata.writeback_folders().unwrap(), [(9, folder("a"))]);
    assert_eq!(metadata.deleted_in_writeback(9).unwrap(), [ObjectId(3), ObjectId(4)]);
    assert_eq!(metadata.deleted_in_writeback(8).unwrap(), []);
}
