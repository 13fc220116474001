//! Adoption: finding out, step by step and in the background, what an earlier run left in the slot.
//!
//! Nothing waits for it: a file that is opened finds its cache file by name. Adoption is what makes the rest count to
//! the usage and become candidates for eviction.

use crate::clock::Warmth;
use crate::disk_file::{DiskFile, FOLDERS, list_folder};
use crate::index_entry::Found;
use crate::limits::{ADOPTED_BLOCKS_PER_STEP, ADOPTED_FILES_PER_STEP};
use crate::part::CachePart;
use shoal_types::{BLOCK_BYTES, Ino};
use std::io;

#[derive(Default)]
pub(crate) struct Adoption {
    next_folder: u32,
    /// Files of the folder listed last, each with the first block still to be looked at.
    files: Vec<(Ino, u64)>,
}

impl Adoption {
    pub fn is_done(&self) -> bool {
        self.next_folder == FOLDERS && self.files.is_empty()
    }
}

/// One part in so many of a file may lie on disk without a name in the index.
const UNNAMED_SHARE: u64 = 8;

impl CachePart {
    /// One bounded step of the shard's background work: adopts some of what is there, and evicts what is too much.
    /// Returns whether there is more to adopt. Worth calling now and then afterwards too: it looks at the free space.
    pub async fn adopt_step(&self) -> bool {
        if self.is_degraded() {
            return false;
        }
        if let Err(error) = self.adopt_some() {
            self.note(&error);
        }
        self.settle().await;
        !self.adoption.borrow().is_done()
    }

    fn adopt_some(&self) -> io::Result<()> {
        let mut adoption = self.adoption.borrow_mut();
        if adoption.files.is_empty() && adoption.next_folder < FOLDERS {
            let folder = adoption.next_folder;
            adoption.next_folder += 1;
            let found = list_folder(&self.shared.slot, folder)?;
            let of_shard = found.into_iter().filter(|ino| ino.mix() % self.shared.shards as u64 == self.shard as u64);
            for ino in of_shard {
                match self.has(ino) {
                    true => adoption.files.push((ino, 0)),
                    // It fell to this folder when there were others.
                    false => DiskFile::unlink(&self.shared.slot, ino)?,
                }
            }
        }
        for _ in 0..ADOPTED_FILES_PER_STEP {
            let Some((ino, first)) = adoption.files.pop() else { break };
            if let Some(next) = self.adopt_blocks(ino, first)? {
                adoption.files.push((ino, next));
                break;
            }
        }
        Ok(())
    }

    /// Takes some blocks of a file onto the books; returns the next one if there are more.
    pub(crate) fn adopt_blocks(&self, ino: Ino, first: u64) -> io::Result<Option<u64>> {
        let Some(disk) = self.open(ino)? else {
            return self.drop_unless_open(ino).map(|()| None);
        };
        let pinned = disk.header.pinned;
        if pinned && first == 0 {
            self.clock.borrow_mut().set_pinned(ino, true);
        }
        let entries = disk.read_entries(first, ADOPTED_BLOCKS_PER_STEP)?;
        let count = entries.len() as u64;
        for (block, found) in (first..).zip(entries) {
            let units = match found {
                Found::Empty => 0,
                // Whatever lies there; only evicting it gives its room back.
                Found::Torn => u64::MAX,
                Found::Entry(entry) => entry.valid,
            };
            if units != 0 {
                let added = self.clock.borrow_mut().add(ino, block, units, Warmth::Cold);
                self.count(added);
            }
        }
        if count == ADOPTED_BLOCKS_PER_STEP {
            return Ok(Some(first + count));
        }
        // A crash between data and index leaves bytes that no entry names, and so does a block that changed under its
        // store. Some are let pass: more room is taken than is accounted for, but not much more.
        let known = self.clock.borrow().bytes(ino);
        let allocated = DiskFile::allocated(&self.shared.slot, ino)?;
        let unnamed = allocated > known + (known / UNNAMED_SHARE).max(BLOCK_BYTES);
        if unnamed || (known == 0 && !pinned) {
            tracing::debug!(%ino, known, allocated, "a cache file of which the index names too little is dropped");
            self.drop_unless_open(ino)?;
            self.keep_pin_of_closed(ino, pinned)?;
        }
        Ok(None)
    }

    /// A pin outlasts what it was for: the next bytes of the file are pinned again.
    fn keep_pin_of_closed(&self, ino: Ino, pinned: bool) -> io::Result<()> {
        if pinned && self.clock.borrow().open_file(ino).is_none() {
            self.create(ino, pinned)?;
            self.clock.borrow_mut().set_pinned(ino, true);
        }
        Ok(())
    }

    /// A file with nothing of use in it, or with too much that is not.
    fn drop_unless_open(&self, ino: Ino) -> io::Result<()> {
        let mut clock = self.clock.borrow_mut();
        if clock.open_file(ino).is_some() {
            return Ok(());
        }
        let (bytes, _) = clock.remove(ino);
        self.discount(bytes);
        DiskFile::unlink(&self.shared.slot, ino)
    }
}
