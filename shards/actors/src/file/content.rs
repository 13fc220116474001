//! What a file holds, layer by layer.

use crate::open_files::Pending;
use crate::{Shard, limits};
use bytes::Bytes;
use shoal_file_data::{DirtyMap, ResolvedChunk};
use shoal_types::{Errno, FsResult, Ino, InodeFlags, ObjectId, Slice, Timestamp};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

pub(super) struct Content {
    /// Length of the committed layers.
    pub committed_length: u64,
    /// Length with everything buffered.
    pub length: u64,
    /// The whole content of a small file, or the bottom layer of one that has grown.
    pub inline: Option<Bytes>,
    /// The file has never had slices, so small content may stay in metadata.
    pub has_chunks: bool,
    pub chunks: HashMap<u64, Rc<Chunk>>,
    /// A chunk that is not in `chunks` has no slices: all that the file had were loaded with it.
    pub chunks_complete: bool,
    pub sealed: VecDeque<Rc<Batch>>,
    pub dirty: DirtyMap,
    /// Bytes of the shard's write budget that `dirty` holds; each sealed batch carries its own share.
    pub dirty_budget: usize,
    /// All that `dirty` holds was written by the superuser.
    pub exempt: bool,
    pub mtime: Timestamp,
    /// Objects committed but not yet known to survive power loss.
    pub unsynced: Vec<ObjectId>,
    /// Any object of the file may be unsynced.
    pub wholly_unsynced: bool,
    /// Grows with each failed attempt to commit; a flush compares it to know whether its own attempt failed.
    pub failures: u64,
    pub failure: Option<Errno>,
    pub gone: bool,
    /// As of the last look at the store.
    pub flags: InodeFlags,
    /// Where it was last created or moved, as far as the store knows.
    pub directory: Ino,
}

/// One chunk's slice list, and the same resolved.
pub(super) struct Chunk {
    pub list: Vec<Slice>,
    pub resolved: ResolvedChunk,
}

/// Buffered writes taken out of the buffer together, to be uploaded and committed together.
pub(super) struct Batch {
    pub writes: DirtyMap,
    /// File length and modification time once this batch is committed.
    pub length: u64,
    pub mtime: Timestamp,
    /// Written by the superuser alone.
    pub exempt: bool,
    pub budget: usize,
    pub state: RefCell<BatchState>,
    pub uploading: Cell<bool>,
}

pub(super) enum BatchState {
    /// Small content for the metadata store; no object.
    Inline,
    /// On its way to the object store.
    Uploading,
    Uploaded(Vec<(u64, Vec<Slice>)>),
    Failed(Errno),
    /// Part of the file.
    Committed,
    /// Given up: there is nothing any more that it could be part of.
    Dropped(Errno),
}

impl Content {
    pub async fn load(shard: &Rc<Shard>, ino: Ino) -> FsResult<Content> {
        let epoch = shard.shared.exact_epoch();
        let loaded = shard.read_metadata(move |metadata| metadata.get_content(ino)).await?;
        let has_chunks = loaded.has_chunks();
        Ok(Content {
            committed_length: loaded.attributes.length,
            length: loaded.attributes.length,
            inline: loaded.inline.map(Bytes::from),
            has_chunks,
            chunks: loaded.chunks.into_iter().map(|(number, list)| (number, Rc::new(Chunk::new(list)))).collect(),
            chunks_complete: loaded.all_chunks,
            sealed: VecDeque::new(),
            dirty: DirtyMap::default(),
            dirty_budget: 0,
            exempt: false,
            mtime: loaded.attributes.mtime,
            unsynced: Vec::new(),
            wholly_unsynced: has_chunks && !shard.was_synced(ino, epoch),
            failures: 0,
            failure: None,
            gone: false,
            flags: loaded.attributes.flags,
            directory: loaded.parent,
        })
    }

    /// Takes over the committed layers of a fresh look at the store; what is buffered stays on top.
    pub fn replace_committed(&mut self, fresh: Content) {
        self.committed_length = fresh.committed_length;
        self.flags = fresh.flags;
        self.directory = fresh.directory;
        self.inline = fresh.inline;
        self.has_chunks = fresh.has_chunks;
        self.chunks = fresh.chunks;
        self.chunks_complete = fresh.chunks_complete;
        if !self.has_buffered() {
            self.mtime = fresh.mtime;
        }
        self.length = self.buffered_end().max(self.committed_length);
    }

    pub fn known_chunk(&self, number: u64) -> Option<Rc<Chunk>> {
        let known = self.chunks.get(&number).cloned();
        known.or_else(|| self.chunks_complete.then(|| Rc::new(Chunk::new(Vec::new()))))
    }

    /// The store has them all, so a file of very many chunks may lose them from memory.
    pub fn keep_chunk(&mut self, number: u64, chunk: Rc<Chunk>) {
        if self.chunks.len() >= limits::CHUNKS_KEPT_MAX {
            self.chunks.clear();
            self.chunks_complete = false;
        }
        self.chunks.insert(number, chunk);
    }

    /// Inline bytes and slices show together.
    pub fn inline_below_chunks(&self) -> bool {
        self.has_chunks && self.inline.as_ref().is_some_and(|inline| !inline.is_empty())
    }

    pub fn has_buffered(&self) -> bool {
        !self.sealed.is_empty() || !self.dirty.is_empty()
    }

    /// What the attributes are with what is buffered.
    pub fn pending(&self) -> Pending {
        let sealed: usize = self.sealed.iter().map(|batch| batch.writes.bytes()).sum();
        Pending { length: self.length, mtime: self.mtime, bytes: (sealed + self.dirty.bytes()) as u64 }
    }

    /// The length that buffered writes alone reach.
    pub fn buffered_end(&self) -> u64 {
        let sealed = self.sealed.iter().map(|batch| batch.length).max().unwrap_or(0);
        sealed.max(self.dirty.end())
    }

    /// What is buffered within `range`, lowest layer first: to be copied over the committed bytes in this order.
    pub fn buffered_pieces(&self, range: std::ops::Range<u64>) -> Vec<(u64, Bytes)> {
        let mut pieces = Vec::new();
        for batch in &self.sealed {
            batch.writes.pieces(range.clone(), &mut pieces);
        }
        self.dirty.pieces(range, &mut pieces);
        pieces
    }
}

impl Shard {
    /// A chunk's slices, from memory or the store.
    pub(super) async fn chunk(self: &Rc<Self>, file: &super::FileState, number: u64) -> FsResult<Rc<Chunk>> {
        loop {
            if let Some(chunk) = file.content.borrow().known_chunk(number) {
                return Ok(chunk);
            }
            let ino = file.ino;
            let _guard = file.committed.lock().await;
            if file.content.borrow().known_chunk(number).is_some() {
                continue;
            }
            let list = self.read_metadata(move |metadata| metadata.get_chunk(ino, number)).await?;
            let chunk = Rc::new(Chunk::new(list));
            file.content.borrow_mut().keep_chunk(number, chunk.clone());
            return Ok(chunk);
        }
    }
}

impl Chunk {
    pub fn new(list: Vec<Slice>) -> Self {
        Chunk { resolved: ResolvedChunk::new(&list), list }
    }
}
