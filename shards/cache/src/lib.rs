//! The local block cache: file bytes on local disk, read and written on the shards' rings.
//!
//! One sparse data file and one small index per inode. A *block* is 4 MiB of a file, a *unit* 64 KiB, so the valid
//! units of a block are one `u64`. Each inode belongs to one shard, which alone changes its cache file; every shard
//! may read it (`CacheFile::try_read`). Losing any of it costs time, never bytes: a disk that is full, failing or gone
//! turns the cache off and is reported once, never to the caller.
//!
//! Relies on its caller for identities: equal identities of a block must mean equal bytes. Never talks to the store.

mod adopt;
mod block_state;
mod block_table;
mod busy;
mod cache_file;
mod clock;
mod disk_file;
mod evict;
mod fault;
mod folders;
mod index_entry;
mod janitor;
mod lend;
mod limits;
mod part;
mod pins;
mod slot;
mod store;
mod units;
mod verify;

#[cfg(test)]
mod tests;

pub use cache_file::{CacheFile, CacheRead};
pub use folders::{Cache, ShardCache};
pub use part::CachePart;
pub use slot::{CacheConfig, CacheFolder};
pub use units::{UNIT_BYTES, UNITS_PER_BLOCK};
