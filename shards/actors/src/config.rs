//! What a mount is started with.

use shoal_cache::CacheConfig;
use shoal_encryption::VolumeSealer;
use shoal_kv::Kv;
use shoal_metadata::SessionRecord;
use shoal_object_store::ObjectStore;
use shoal_types::VolumeSettings;
use std::sync::Arc;
use std::time::Duration;

pub struct Config {
    pub kv: Arc<dyn Kv>,
    pub store: Arc<dyn ObjectStore>,
    pub settings: VolumeSettings,
    /// Of an encrypted volume, whose `kv` seals with the same key.
    pub sealer: Option<VolumeSealer>,
    pub session: SessionRecord,
    pub shards: usize,
    /// Bind each shard to a core, if there are enough.
    pub pin: bool,
    pub cache: Option<CacheConfig>,
    /// Bytes written and not stored yet, all shards together; writers wait when it is full.
    pub write_buffer_bytes: u64,
    /// Bytes fetched and kept in memory, all shards together.
    pub read_buffer_bytes: u64,
    pub readahead_bytes_max: u64,
    pub access_times: AccessTimes,
    /// What the kernel may be told while no other mount of the volume lives.
    pub timeouts: KernelTimeouts,
    /// The front end holds the inodes that it notes a lookup of, names or not, until it has forgotten all its lookups.
    pub holds_inodes: bool,
}

/// When a read sets the access time, as the options of mount(8) say it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AccessTimes {
    /// `relatime`: if the inode has changed since the last access, or that was a day ago.
    #[default]
    Relative,
    /// `noatime`
    Never,
    /// `strictatime`
    Always,
}

/// For how long a kernel may answer by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct KernelTimeouts {
    pub attributes: Duration,
    pub entries: Duration,
}

impl KernelTimeouts {
    pub fn longest(&self) -> Duration {
        self.attributes.max(self.entries)
    }
}
