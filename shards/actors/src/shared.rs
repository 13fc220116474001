//! What all shards of one mount share: immutable settings, lock-free tables, and the ways to the outside.

use crate::access_times::NotedAccesses;
use crate::clones::Clones;
use crate::config::{AccessTimes, KernelTimeouts};
use crate::directory_order::FetchedAhead;
use crate::feed::Feed;
use crate::held::HeldInodes;
use crate::locks::{Bell, KernelPages, LockMarks};
use crate::message::Message;
use crate::metadata_workers::MetadataWorkers;
use crate::name_cache::NameCache;
use crate::open_files::OpenFiles;
use crate::room::Rooms;
use crate::stamps::Stamps;
use crate::transfer::Transfer;
use crate::whole_directories::WholeDirectories;
use shoal_kv::Kv;
use shoal_metadata::{Metadata, SessionRecord};
use shoal_runtime::Mailbox;
use shoal_types::{Ino, SessionId, Timestamp, VolumeSettings};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) struct Shared {
    pub kv: Arc<dyn Kv>,
    pub metadata: Metadata,
    /// For engines whose reads are not local.
    pub workers: Option<MetadataWorkers>,
    pub transfer: Transfer,
    pub settings: VolumeSettings,
    pub session: SessionId,
    pub record: SessionRecord,
    pub stamps: Stamps,
    pub names: NameCache,
    pub feed: Feed,
    pub whole: WholeDirectories,
    pub access_times: AccessTimes,
    pub accesses: NotedAccesses,
    pub open_files: OpenFiles,
    pub fetched_ahead: FetchedAhead,
    pub held: HeldInodes,
    pub rooms: Rooms,
    pub clones: Clones,
    pub mailboxes: Vec<Mailbox<Message>>,
    pub write_buffer_bytes: u64,
    pub read_buffer_bytes: u64,
    pub readahead_bytes_max: u64,
    /// What the kernel may be told while this mount is alone.
    pub timeouts: KernelTimeouts,
    pub lock_marks: LockMarks,
    /// The number of the next request that waits for a lock.
    pub lock_requests: AtomicU64,
    pub bell: Bell,
    pub kernel_pages: OnceLock<Arc<dyn KernelPages>>,
    /// The exact epoch before this mount's kernel knew anything.
    pub epoch_of_start: Option<u64>,
    /// The mark at which no other mount lived; `NOT_ALONE` while one does.
    pub alone_epoch: AtomicU64,
    /// The metadata store refused this session (it was declared dead): nothing more may be written.
    pub fenced: AtomicBool,
    /// The last flush has begun: what it could miss is not taken any more.
    pub closing: AtomicBool,
    /// The mount is ending its session itself.
    pub stopping: AtomicBool,
    /// Shard 0 has been told that there is maintenance to do, and has not begun with it.
    pub maintenance_wanted: AtomicBool,
    /// This mount has staged files that nobody has packed.
    pub staged: AtomicBool,
    /// Somebody waits for another session, which may be dead.
    pub others_suspected: AtomicBool,
}

pub(crate) const NOT_ALONE: u64 = u64::MAX;

impl Shared {
    pub fn owner(&self, ino: Ino) -> usize {
        (ino.mix() % self.mailboxes.len() as u64) as usize
    }

    /// No other mount of this volume lives, as of now. When the store shows foreign changes that nobody has looked into
    /// yet, the answer is no, and shard 0 looks into them.
    pub fn is_alone(&self) -> bool {
        let Some(alone_mark) = self.alone_mark() else { return false };
        let mark = self.mark();
        if mark.is_some_and(|mark| mark != alone_mark) {
            self.want_maintenance();
        }
        mark == Some(alone_mark)
    }

    /// The mark at which no other mount lived, if none does.
    pub fn alone_mark(&self) -> Option<u64> {
        Some(self.alone_epoch.load(SeqCst)).filter(|mark| *mark != NOT_ALONE)
    }

    /// A number that grows when others change something: the engine's foreign epoch, or what the feed has told so far. As
    /// long as no other mount lives they are the same thing, because who comes waits before it changes anything.
    pub fn mark(&self) -> Option<u64> {
        self.kv.foreign_epoch().or_else(|| self.feed.foreign_events())
    }

    /// What was read while it stood at a number is current, as of now, as long as it stands there. Of an engine without
    /// a foreign epoch there is one only while this mount is alone.
    pub fn exact_epoch(&self) -> Option<u64> {
        self.kv.foreign_epoch().or_else(|| self.feed.foreign_events().filter(|mark| self.alone_mark() == Some(*mark)))
    }

    /// As long as it stands, what was read is current as far as its stamp tells: exactly where the engine has a foreign
    /// epoch, and as of the last word from the feed elsewhere.
    pub fn cache_epoch(&self) -> Option<u64> {
        self.kv.foreign_epoch().or_else(|| self.feed.generation())
    }

    pub fn want_maintenance(&self) {
        if !self.maintenance_wanted.swap(true, SeqCst) && self.mailboxes[0].try_send(Message::Maintain).is_err() {
            // Shard 0 is busy beyond measure: its next heartbeat sees to it, or whoever asks again.
            self.maintenance_wanted.store(false, SeqCst);
        }
    }

    /// Shard 0 finds out whether the processes of other sessions still run.
    pub fn suspect_the_dead(&self) {
        self.others_suspected.store(true, SeqCst);
        self.want_maintenance();
    }

    pub fn is_fenced(&self) -> bool {
        self.fenced.load(SeqCst)
    }

    pub fn fence(&self) {
        if !self.fenced.swap(true, SeqCst) && !self.stopping.load(SeqCst) {
            let session = self.session;
            tracing::error!(%session, "this mount was declared dead: nothing more can be written; mount it again");
        }
    }
}

/// The wall clock. `engine/` never reads it; the shards pass it in.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::new(since.as_secs() as i64, since.subsec_nanos())
}
