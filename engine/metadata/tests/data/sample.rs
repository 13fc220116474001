//! A small volume with a bit of everything, and ways to damage it below the operations.

use crate::support::*;
use shoal_kv::{Kv, MemoryKv};
use shoal_metadata::check::{self, Finding, Problem};
use shoal_metadata::keys::Key;
use shoal_metadata::records::Identity;
use shoal_types::{FileKind, Ino, ObjectId};
use std::sync::Arc;

/// A bit of everything.
pub struct Sample {
    pub volume: Volume,
    pub d: Ino,
    pub e: Ino,
    pub inline: Ino,
    pub sliced: Ino,
    pub link: Ino,
    pub sustained: Ino,
    pub queued: Ino,
    pub queued_at: u64,
    pub object: ObjectId,
    pub dropped: ObjectId,
}

pub fn sample() -> Sample {
    sample_on(MemoryKv::new())
}

pub fn sample_on(kv: Arc<dyn Kv>) -> Sample {
    let volume = Volume::on(kv);
    let d = volume.directory(Ino::ROOT, "d");
    let e = volume.directory(d, "e");
    let inline = volume.file("inline");
    volume.write_inline(inline, 0, b"abcde");
    let sliced = volume.create(e, "sliced", FileKind::Regular);
    let [dropped, object] = [(); 2].map(|()| volume.lease_object());
    volume.write_slices(sliced, 0, &[slice(0, 10, dropped)], 10);
    volume.truncate(sliced, 0);
    volume.write_slices(sliced, 0, &[slice(0, 10, object)], 10);
    let link = volume.create(d, "link", FileKind::Symlink);
    let sustained = volume.file("s");
    volume.unlink("s", &[sustained]);
    let queued = volume.file("q");
    volume.unlink("q", &[]);
    let queued_at = at(5).as_nanos();
    Sample { volume, d, e, inline, sliced, link, sustained, queued, queued_at, object, dropped }
}

impl Sample {
    pub fn findings(&self) -> Vec<Finding> {
        check::run(&self.volume.metadata, &mut |_| {}).unwrap().findings
    }

    fn identity(&self, ino: Ino) -> Identity {
        Identity::decode(&self.volume.get(Key::Identity(ino)).unwrap()).unwrap()
    }

    pub fn change_identity(&self, ino: Ino, change: impl Fn(&mut Identity)) {
        let mut identity = self.identity(ino);
        change(&mut identity);
        self.put(Key::Identity(ino), &identity.encode());
    }

    pub fn put(&self, key: Key, value: &[u8]) {
        let (key, value) = (key.encode(), value.to_vec());
        self.volume.raw(move |transaction| transaction.put(&key, &value));
    }

    pub fn delete(&self, key: Key) {
        let key = key.encode();
        self.volume.raw(move |transaction| transaction.delete(&key));
    }

    pub fn add(&self, key: Key, amount: i64) {
        let key = key.encode();
        self.volume.raw(move |transaction| transaction.add(&key, amount));
    }
}

pub fn finding(ino: Ino, path: &str, problem: Problem) -> Finding {
    Finding { problem, ino: Some(ino), path: Some(path.as_bytes().to_vec()) }
}

pub fn pathless(ino: Ino, problem: Problem) -> Finding {
    Finding { problem, ino: Some(ino), path: None }
}

pub fn of_volume(problem: Problem) -> Finding {
    Finding { problem, ino: None, path: None }
}
