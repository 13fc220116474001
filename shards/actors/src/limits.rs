//! Every bound of the shards in one place.

use std::time::Duration;

/// Requests waiting in one shard's mailbox before senders wait.
pub(crate) const MAILBOX_MESSAGES_MAX: usize = 1024;
/// Names and attributes that a mount remembers: 16 MiB each when full.
pub(crate) const CACHED_ENTRIES_MAX: usize = 128 << 10;
pub(crate) const CACHED_ATTRIBUTES_MAX: usize = 128 << 10;
/// Directories of which a mount knows what is not in them, the filter of all their names (2 MiB), and how many names it
/// takes: one in twenty that is not there has to be asked for when it is full.
pub(crate) const WHOLE_DIRECTORIES_MAX: usize = 16 << 10;
pub(crate) const WHOLE_FILTER_BITS: usize = 16 << 20;
pub(crate) const WHOLE_NAMES_MAX: u64 = 2 << 20;
/// Access times that are noted and not stored yet: shown to all shards, and kept by each.
pub(crate) const CACHED_ACCESSES_MAX: usize = 64 << 10;
pub(crate) const ACCESSES_NOTED_MAX: usize = 16 << 10;
/// Files that a shard remembers as opened, and as synced (each generation).
pub(crate) const OPENED_FILES_REMEMBERED: usize = 64 << 10;
pub(crate) const SYNCED_FILES_REMEMBERED: usize = 64 << 10;
/// Files whose pages a shard remembers to have had forgotten for a lock (each generation).
pub(crate) const LOCKED_FILES_REMEMBERED: usize = 16 << 10;
/// Inode numbers leased at once by a shard; what is left at the end of a session is never used.
pub(crate) const INODE_LEASE: u64 = 4096;
/// Object numbers leased at once by a shard.
pub(crate) const OBJECT_LEASE: u64 = 1024;

/// Threads that read metadata for shards, where the engine's reads are round trips.
pub(crate) const METADATA_WORKERS: usize = 16;
/// Reads waiting for a metadata worker before shards wait.
pub(crate) const QUEUED_READS_MAX: usize = 4096;
/// Resolved slice lists kept of one file.
pub(crate) const CHUNKS_KEPT_MAX: usize = 4096;
/// Objects of one file remembered as not yet synced; beyond it the file is synced as a whole.
pub(crate) const UNSYNCED_MAX: usize = 16 << 10;
/// Objects synced by one call of the store.
pub(crate) const SYNCED_AT_ONCE: usize = 512;
/// Chunks whose lists are read at once.
pub(crate) const CHUNKS_PER_READ: usize = 64;
/// Times a read looks at the store again because what it was about to fetch has been replaced.
pub(crate) const READ_RETRIES_MAX: u32 = 8;
/// How long it waits for an object that another mount has yet to upload, and how often it looks.
pub(crate) const UPLOAD_PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const UPLOAD_LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// Bytes that one call copies by reference, and that one step of it moves where it can't.
pub(crate) const COPY_BYTES_MAX: u64 = 64 << 30;
pub(crate) const MOVED_BYTES_MAX: u64 = 1 << 20;
/// How long one call works on a clone before it tells how far it came, and the inode numbers that a clone leases at once.
pub(crate) const CLONE_WORK_TIME: Duration = Duration::from_millis(200);
pub(crate) const CLONE_INODE_LEASE: u64 = 16 << 10;
/// Writes below this are copied, so that they don't keep a whole request buffer in memory.
pub(crate) const SHARED_WRITE_BYTES_MIN: usize = 512 << 10;

/// Directories whose readers a shard follows (each generation), and the longest listing that is remembered for it.
pub(crate) const DIRECTORIES_FOLLOWED_MAX: usize = 16;
pub(crate) const ENTRIES_FOLLOWED_MAX: usize = 16 << 10;
pub(crate) const ENTRIES_LISTED_AT_ONCE: usize = 1000;
/// Files of a directory that have to be fetched before it's listed, and how often that is done at most.
pub(crate) const FILES_BEFORE_LISTING: usize = 3;
pub(crate) const DIRECTORY_LIST_INTERVAL: Duration = Duration::from_secs(60);
/// Files read in order before the next ones are fetched ahead, and what each counts for in the window at least: a file
/// costs requests, however small it is.
pub(crate) const FILES_IN_ORDER_MIN: u32 = 4;
pub(crate) const FILE_AHEAD_BYTES_MIN: u64 = 256 << 10;
/// Files remembered as fetched ahead.
pub(crate) const FETCHED_AHEAD_MAX: usize = 8 << 10;

/// Transfers that one look at their queue hands to the workers.
pub(crate) const TRANSFERS_PASSED_ON_AT_ONCE: usize = 64;
pub(crate) const TRANSFER_THREADS: usize = 2;
pub(crate) const TRANSFER_BLOCKING_THREADS_MAX: usize = 32;
/// How long the end of a mount waits for requests that nobody asks about any more.
pub(crate) const TRANSFER_END_MAX: Duration = Duration::from_secs(5);
pub(crate) const UPLOADS_IN_FLIGHT_MAX: usize = 16;
pub(crate) const DOWNLOADS_IN_FLIGHT_MAX: usize = 32;
/// What comes damaged may have been so on its way only.
pub(crate) const READS_OF_DAMAGED_MAX: usize = 3;
/// Frame tables of compressed objects; one of an object of 4 MiB takes a few hundred bytes, and twice as many may be kept.
pub(crate) const FRAME_TABLES_MAX: usize = 16 << 10;

/// Buffered writes are committed after this time even when nobody asks.
pub(crate) const FLUSH_DELAY: Duration = Duration::from_secs(3);
/// How often a mount with appended bytes in its buffer looks whether it is still alone; well below the time for which a
/// newcomer waits.
pub(crate) const APPEND_LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// Noted access times are stored after this time, and so many in one transaction.
pub(crate) const ACCESS_DELAY: Duration = Duration::from_secs(1);
pub(crate) const ACCESSES_PER_COMMIT: usize = 1000;
/// Time between the tries of a flush that failed after the last close.
pub(crate) const FLUSH_RETRY_DELAY: Duration = Duration::from_secs(5);
/// Uploaded batches that one commit may carry.
pub(crate) const COMMIT_BATCHES_MAX: usize = 64;
/// Contiguous runs of writes that one batch may have.
pub(crate) const BATCH_RUNS_MAX: usize = 1000;
/// Slices that one commit may add to a chunk, if they come from more than one batch.
pub(crate) const COMMIT_SLICES_MAX: usize = 1200;
/// Slices of one chunk at which its list is rewritten into new objects, if that makes it shorter.
pub(crate) const COMPACT_SLICES: usize = 512;
/// Slices at which it's rewritten in any case, with the zeros between scattered pieces.
pub(crate) const COMPACT_SLICES_DENSELY: usize = 1000;
/// How often the packer looks for staged files, and every how many times for those of sessions that have ended.
pub(crate) const PACK_INTERVAL: Duration = Duration::from_secs(1);
pub(crate) const PACK_ROUNDS_PER_LOOK_AROUND: u64 = 60;
/// A staged file that was changed more lately waits; and once one has waited so long, a pack is made that is not full.
pub(crate) const PACK_AGE_MIN: Duration = Duration::from_secs(2);
pub(crate) const PACK_AGE_RIPE: Duration = Duration::from_secs(10);
pub(crate) const STAGED_FILES_PER_READ: usize = 512;
/// A pack of which little is left is made anew when it has lost nothing for this long; and when it has not for so long, also
/// if what is left of such packs does not fill another one.
pub(crate) const SPARSE_PACK_AGE_MIN: Duration = Duration::from_secs(60);
pub(crate) const SPARSE_PACK_AGE_RIPE: Duration = Duration::from_secs(600);
/// When one that could not be read is tried again.
pub(crate) const SPARSE_PACK_RETRY_DELAY: Duration = Duration::from_secs(3600);
pub(crate) const SPARSE_PACKS_PER_READ: usize = 256;
/// Packs of which one new one is made.
pub(crate) const SPARSE_PACKS_AT_ONCE: usize = 256;
pub(crate) const PACK_LISTS_PER_READ: usize = 64;
/// The part of the read buffer that whole packs may take beside it, as a divisor.
pub(crate) const PACKS_SHARE: u64 = 2;
/// Blocks of a mount that are rewritten at any time, so that compaction takes no more than its share of the transfers.
pub(crate) const BLOCKS_REWRITTEN_AT_ONCE: usize = 2;
/// How long one call rewrites what a program has asked for before it tells how far it came.
pub(crate) const COMPACT_WORK_TIME: Duration = Duration::from_millis(200);
/// How long one call counts or fills a file's cached bytes, and how many blocks it has on their way.
pub(crate) const WARM_WORK_TIME: Duration = Duration::from_millis(500);
pub(crate) const WARM_BLOCKS_AT_ONCE: usize = 8;
/// Pinned files looked at together, whether they are still there: so many of each shard and cache folder at each look at the
/// cache's disk.
pub(crate) const PINS_LOOKED_AT_ONCE: usize = 32;
/// Times a list that grows all the while is rewritten before others have their turn.
pub(crate) const COMPACTION_ROUNDS_MAX: u32 = 8;
/// The longest list; a commit that would make it longer waits for it to be rewritten. The store takes some 3,500.
pub(crate) const CHUNK_SLICES_MAX: usize = 2400;

/// The longest time-out that any mount gives its kernel. Every mount of every version must keep to it: a newcomer waits
/// for as long (decision 0007).
pub(crate) const KERNEL_TIMEOUT_MAX: Duration = Duration::from_secs(1);
/// What a newcomer waits beyond that: a reply may be on its way to the kernel while its session is registered.
pub(crate) const KERNEL_REPLY_DELAY_MAX: Duration = Duration::from_millis(500);
/// How often a newcomer looks whether those it waits for have left.
pub(crate) const NEWCOMER_LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// How often a request that waits for a lock is made again although nobody has said that it's free, and a failed attempt
/// to give one up repeated.
pub(crate) const LOCK_RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// How long a request that does not wait for others does wait for what they have closed already.
pub(crate) const LOCK_RELEASE_TIME_MAX: Duration = Duration::from_secs(30);
/// How long a reader lets a writer go first that has waited for a lock before it came.
pub(crate) const READERS_WAIT_FOR_WRITERS_MAX: Duration = Duration::from_millis(50);
/// How often the thread that waits for other mounts' locks looks whether anybody still wants it to.
pub(crate) const BELL_LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Time between two looks at the change feed at most: what is remembered by it is believed for `KERNEL_TIMEOUT_MAX` after
/// each. While another mount lives, a watch wakes it earlier.
pub(crate) const FEED_LOOK_INTERVAL: Duration = Duration::from_millis(300);
/// Time until a feed that could not be read is tried again.
pub(crate) const FEED_RETRY_DELAY: Duration = Duration::from_millis(200);
/// Events younger than this are not trimmed: so long a follower may be cut off without forgetting everything.
pub(crate) const FEED_KEPT: Duration = Duration::from_secs(60);

pub(crate) const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);
/// A session whose heartbeat is older than this is dead.
pub const SESSION_EXPIRY: Duration = Duration::from_secs(60);
/// Others' removed files are left to those who may have them open for this long: each looks at every heartbeat.
pub(crate) const REMOVAL_GRACE: Duration = Duration::from_secs(HEARTBEAT_INTERVAL.as_secs() * 3);
/// How soon the kernel forgets a removed inode that nobody holds.
pub(crate) const HELD_FRESH: Duration = Duration::from_secs(1);
/// Time between two looks at who else lives, when the store shows foreign changes.
pub(crate) const SESSION_LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// Time between rounds of maintenance that could not finish their work.
pub(crate) const MAINTENANCE_RETRY_DELAY: Duration = Duration::from_secs(2);
/// Time between looks at the free space of the cache disk.
pub(crate) const CACHE_LOOK_INTERVAL: Duration = Duration::from_secs(60);
/// Tries of the flush at the end of a mount, and the time between them.
pub(crate) const STOP_FLUSH_TRIES: u32 = 5;
pub(crate) const STOP_FLUSH_DELAY: Duration = Duration::from_secs(1);
/// Open files looked for among the queued removals at once.
pub(crate) const SUSTAINED_LOOK: usize = 1024;
/// Removed inodes and dead objects handled in one round of maintenance.
pub(crate) const REMOVALS_PER_ROUND: usize = 64;
pub(crate) const DELETIONS_PER_ROUND: usize = 256;
/// Transactions that one round of maintenance spends on one removed inode, and on the trash.
pub(crate) const REMOVAL_STEPS_PER_ROUND: usize = 16;
pub(crate) const PURGES_PER_ROUND: usize = 64;

const _: () = assert!(COMPACT_SLICES < COMPACT_SLICES_DENSELY && COMPACT_SLICES_DENSELY < CHUNK_SLICES_MAX);
const _: () = assert!(BLOCKS_REWRITTEN_AT_ONCE * 8 <= UPLOADS_IN_FLIGHT_MAX);
const _: () = assert!(BATCH_RUNS_MAX < COMMIT_SLICES_MAX && COMMIT_SLICES_MAX < CHUNK_SLICES_MAX);
const _: () = assert!(FEED_LOOK_INTERVAL.as_millis() * 3 <= KERNEL_TIMEOUT_MAX.as_millis());
const _: () = assert!(HEARTBEAT_INTERVAL.as_secs() * 3 <= SESSION_EXPIRY.as_secs());
