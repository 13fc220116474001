//! Extended attributes in the store: bounds, removal with their inode, and what the check finds wrong with them.

use crate::sample::*;
use crate::support::*;
use shoal_metadata::check::{Finding, Problem};
use shoal_metadata::keys::Key;
use shoal_metadata::records::{XattrIndex, encode_content};
use shoal_metadata::{MetaError, MetaOp, MetaResult, SetXattr};
use shoal_types::{Errno, Ino, InodeFlags, XattrMode, XattrName};

fn named(text: &str) -> XattrName {
    XattrName::new(text.as_bytes()).unwrap()
}

fn set(sample: &Sample, ino: Ino, text: &str, value: &[u8]) -> MetaResult<()> {
    let operation = SetXattr {
        ino,
        name: named(text),
        value: value.to_vec(),
        mode: XattrMode::Any,
        drop_setgid: false,
        session: sample.volume.session,
        now: at(50),
    };
    sample.volume.try_run(MetaOp::SetXattr(operation)).map(drop)
}

fn found(damage: impl FnOnce(&Sample), expected: impl FnOnce(&Sample) -> Vec<Finding>) {
    let sample = sample();
    set(&sample, sample.inline, "user.a", b"value").unwrap();
    assert_eq!(sample.findings(), []);
    damage(&sample);
    assert_eq!(sample.findings(), expected(&sample));
}

fn key(ino: Ino, text: &'static str) -> Key<'static> {
    Key::Xattr(ino, text.as_bytes())
}

#[test]
fn a_value_that_no_index_lists() {
    found(
        |s| s.put(key(s.inline, "user.b"), &encode_content(b"stray")),
        |s| vec![finding(s.inline, "/inline", Problem::XattrUnindexed { name: b"user.b".to_vec() })],
    );
}

#[test]
fn a_value_of_another_length_than_listed() {
    found(
        |s| s.put(key(s.inline, "user.a"), &encode_content(b"longer value")),
        |s| vec![finding(s.inline, "/inline", Problem::XattrUnindexed { name: b"user.a".to_vec() })],
    );
}

#[test]
fn a_listed_attribute_without_a_value() {
    found(
        |s| s.delete(key(s.inline, "user.a")),
        |s| vec![finding(s.inline, "/inline", Problem::XattrMissing { name: b"user.a".to_vec() })],
    );
}

#[test]
fn flags_that_hide_or_invent_attributes() {
    let flags = |flags: InodeFlags| {
        found(
            |s| s.change_identity(s.inline, |identity| identity.flags = flags),
            |s| vec![finding(s.inline, "/inline", Problem::XattrFlags)],
        );
    };
    flags(InodeFlags::default());
    flags(InodeFlags(InodeFlags::XATTRS.0 | InodeFlags::CAPABILITY.0));
}

#[test]
fn a_full_list_fits_its_index_and_goes_with_its_inode() {
    let sample = sample();
    // Each of these short names takes nine bytes of the list.
    let most = XattrName::LIST_BYTES_MAX / 9;
    let index = XattrIndex(
        (0..most)
            .map(|number| (named(&format!("user.{}", char::from_u32(0x4e00 + number as u32).unwrap())), 0))
            .collect(),
    );
    assert!(index.encode().len() <= shoal_kv::limits::VALUE_BYTES_MAX);
    for number in 0..64 {
        set(&sample, sample.inline, &format!("user.{number}"), &vec![1; XattrName::VALUE_BYTES_MAX]).unwrap();
    }
    assert_eq!(set(&sample, sample.inline, "user.more", b"x"), Err(MetaError::Refused(Errno::ENOSPC)));
    assert_eq!(sample.findings(), []);
    let (session, now) = (sample.volume.session, at(60));
    let unlink = shoal_metadata::Unlink { parent: Ino::ROOT, name: name("inline"), open: Vec::new(), session, now };
    sample.volume.run(MetaOp::Unlink(unlink));
    let remove = shoal_metadata::RemoveInode { queued_at: now.as_nanos(), ino: sample.inline, delete_at: now };
    assert_eq!(sample.volume.run_steps(MetaOp::RemoveInode(remove)), 1);
    assert_eq!(sample.volume.get(Key::XattrIndex(sample.inline)), None);
    assert_eq!(sample.volume.get(key(sample.inline, "user.7")), None);
    assert_eq!(sample.findings(), []);
}
