//! Every bound of the cache in one place.

/// Blocks of one file that can be cached: 16 TiB of it, which is also all that ext4 takes in one file.
pub(crate) const BLOCKS_PER_FILE_MAX: u64 = 1 << 22;
/// Blocks one part keeps account of; above it blocks are evicted even when there is room on disk.
pub(crate) const RECORDS_MAX: usize = 1 << 20;
/// Mounts of one volume that share a cache folder on one host.
pub(crate) const SLOTS_MAX: u32 = 1024;
/// Evicted blocks whose room is still to be given back.
pub(crate) const PUNCHES_PENDING_MAX: usize = 1024;
/// Times a store makes room again because others took what it had made.
pub(crate) const ROOM_ROUNDS_MAX: u32 = 4;
/// Room made after the disk was found full, before the one retry.
pub(crate) const FULL_DISK_EVICTION_BYTES: u64 = 64 << 20;
/// Bytes stored between two looks at the free space of the disk, and the most evicted after one look.
pub(crate) const FREE_SPACE_SAMPLE_BYTES: u64 = 16 << 20;
pub(crate) const FREE_SPACE_EVICTION_BYTES_MAX: u64 = 64 << 20;
/// Units checked by one read: 1 MiB.
pub(crate) const VERIFY_UNITS_MAX: u32 = 16;
/// What one step of adoption looks at.
pub(crate) const ADOPTED_FILES_PER_STEP: usize = 64;
pub(crate) const ADOPTED_BLOCKS_PER_STEP: u64 = 2048;

// A step of the free-space control makes at least the room that was used since the last one.
const _: () = assert!(FREE_SPACE_EVICTION_BYTES_MAX >= FREE_SPACE_SAMPLE_BYTES);
