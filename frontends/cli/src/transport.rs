//! `--transport`: what the kernel's requests travel through.

use serde::{Deserialize, Serialize};
use shoal_fuse::RingUse;
use std::str::FromStr;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Transport {
    DevFuse,
    IoUring,
    Auto,
}

impl Transport {
    pub fn rings(self) -> RingUse {
        match self {
            Transport::DevFuse => RingUse::Never,
            Transport::IoUring => RingUse::Always,
            Transport::Auto => RingUse::WhereAllowed,
        }
    }

    /// Shards stay on their cores, except with rings: the kernel hands a request to the shard of its client's core, and
    /// a shard that can't leave it takes turns with that client while other cores idle. 4 KiB reads from disk 32 deep,
    /// two cores: 1.1 to 1.3 times as many with shards that may move.
    pub fn pins_shards(self) -> bool {
        self == Transport::DevFuse
    }
}

impl FromStr for Transport {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "dev_fuse" => Ok(Transport::DevFuse),
            "io_uring" => Ok(Transport::IoUring),
            "auto" => Ok(Transport::Auto),
            other => Err(format!("{other} is no transport; choose dev_fuse, io_uring or auto")),
        }
    }
}
