//! The bounds of this engine, and its tuning.

use std::time::Duration;

/// Jobs of one group at most: bounds how long the first of them waits for the last.
pub const GROUP_JOBS_MAX: usize = 256;
/// A group ends early once its writes are this large.
pub const GROUP_BYTES_MAX: usize = 16 << 20;
/// Jobs that may wait; more make their submitters wait.
pub const QUEUED_JOBS_MAX: usize = 65_536;
/// How long a writer waits for other processes to let it write, and a reader for a recovery to end.
pub const LOCK_WAIT_MAX: Duration = Duration::from_secs(10);
/// Read connections kept for reuse; each holds a few file descriptors and its page cache.
pub const READERS_KEPT_MAX: usize = 64;
/// Pairs that a read on the writer's connection may ask for: writers wait for it.
pub const SMALL_READ_PAIRS_MAX: usize = 64;
/// How often a watch looks.
pub const WATCH_INTERVAL: Duration = Duration::from_millis(5);

pub const PAGE_BYTES: usize = 4096;
/// SQLite counts caches in KiB when the number is negative.
pub const WRITER_CACHE_KIB: i64 = 64 << 10;
pub const READER_CACHE_KIB: i64 = 8 << 10;
/// The writer reads pages of the database file through a mapping of up to this much of it (SQLite's own bound is 2 GiB).
pub const MMAP_BYTES: i64 = 1 << 30;
/// The WAL is copied back once a commit has found it this long (32 MiB): rare enough to copy a busy page once for many
/// commits, short enough to stay in the page cache.
pub const CHECKPOINT_PAGES: i64 = 8192;
/// What may be copied back with the writer in hand (2 MiB).
pub const CHECKPOINT_REST_PAGES: i64 = 512;
/// Attempts to come that far while the writer goes on.
pub const CHECKPOINT_PASSES_MAX: usize = 4;
/// A WAL that could not be begun anew after an attempt may grow so much before the next one.
pub const CHECKPOINT_AGAIN_PAGES: i64 = CHECKPOINT_PAGES / 4;
/// The writer waits once the WAL is longer by so much than when its checkpoint became due.
pub const CHECKPOINT_LAG_PAGES_MAX: i64 = CHECKPOINT_PAGES;
pub const CACHED_STATEMENTS: usize = 16;

pub const HOT_VALUE_BYTES_MAX: usize = 512;
pub const HOT_VALUES_MAX: usize = 16_384;
