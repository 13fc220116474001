//! Everything that decides how a volume is mounted: made from a command line or from `-o` options, handed to the daemon
//! as it is. All paths are absolute, because the daemon works in `/`.

use crate::failure::{Failure, Outcome};
use crate::key_source::KeySource;
use crate::meta_url::MetaUrl;
use crate::mount_flags::MountRestrictions;
use crate::places;
use crate::size::{ByteCount, Span};
use crate::transport::Transport;
use crate::verify_cache::VerifyCache;
use serde::{Deserialize, Serialize};
use shoal_fuse::{Squash, Squashed};
use shoal_types::Consistency;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub const CACHE_BYTES: ByteCount = ByteCount(10 << 30);
pub const WRITEBACK_BYTES: ByteCount = ByteCount(10 << 30);
pub const CACHE_FREE_RATIO: f64 = 0.1;
pub const WRITE_BUFFER_BYTES: ByteCount = ByteCount(300 << 20);
pub const READ_BUFFER_BYTES: ByteCount = ByteCount(256 << 20);
pub const READAHEAD_BYTES_MAX: ByteCount = ByteCount(64 << 20);
pub const KERNEL_TIMEOUT: Span = Span(Duration::from_secs(1));
pub const SHARDS_MAX: usize = 256;
/// `nobody` and `nogroup` on most systems.
pub const ANONYMOUS: u32 = 65_534;
/// The program, the embedded engine, names and attributes, requests under way, and what the allocator keeps.
const MEMORY_BESIDE_BUFFERS: ByteCount = ByteCount(160 << 20);
const MEMORY_MIN: ByteCount = ByteCount(256 << 20);
const WRITE_BUFFER_BYTES_MIN: ByteCount = ByteCount(16 << 20);
/// A second. One block of the largest size then takes about as long as a store may.
const RATE_MIN: ByteCount = ByteCount(64 << 10);
const BACKUP_INTERVAL_MIN: Span = Span(Duration::from_secs(60));
const CACHE_BYTES_MIN: ByteCount = ByteCount(64 << 20);

/// When a read sets the access time, in the words of mount(8).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum AccessTimeOption {
    Relatime,
    Noatime,
    Strictatime,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct MountRequest {
    pub meta_url: MetaUrl,
    pub mount_point: PathBuf,
    /// What opens the key of an encrypted volume.
    pub key: Option<KeySource>,
    /// Where the objects are for this mount; the default is where format put them.
    pub storage: Option<String>,
    /// In bytes a second.
    pub upload_limit: Option<ByteCount>,
    pub download_limit: Option<ByteCount>,
    /// Requests a second.
    pub request_limit: Option<u64>,
    /// How often the metadata is backed up into the object store, if it is.
    pub backup_meta: Option<Span>,
    /// The default is one below the user's cache folder.
    pub cache_dirs: Vec<PathBuf>,
    /// Of each folder, or one for all.
    pub cache_sizes: Vec<ByteCount>,
    /// The part of each folder's disk that stays free.
    pub cache_free_ratio: f64,
    pub verify_cache: VerifyCache,
    pub encrypt_cache: bool,
    pub no_cache: bool,
    /// Objects are uploaded after they have been acknowledged.
    pub writeback: bool,
    /// Where they are until then; the default is below the user's folder for states.
    pub writeback_dir: Option<PathBuf>,
    pub writeback_size: ByteCount,
    /// The default is one a core.
    pub shards: Option<usize>,
    pub write_buffer: ByteCount,
    pub read_buffer: ByteCount,
    pub max_readahead: ByteCount,
    pub consistency: Consistency,
    pub attr_timeout: Span,
    pub entry_timeout: Span,
    pub writeback_cache: bool,
    pub transport: Transport,
    /// Access control lists count. Without, nobody sees or sets any on this mount.
    pub acl: bool,
    /// Extended attributes are served. Without them there are no ACLs either, and the kernel asks for none.
    pub xattr: bool,
    pub access_times: AccessTimeOption,
    /// Those of directories too.
    pub directory_access_times: bool,
    pub read_only: bool,
    pub allow_other: bool,
    /// The mount may be idmapped.
    pub allow_idmap: bool,
    /// The superuser acts as the anonymous user.
    pub root_squash: bool,
    /// Everybody does.
    pub all_squash: bool,
    pub anon_uid: u32,
    pub anon_gid: u32,
    /// Slash-separated path of a folder in the volume that is shown in place of its root.
    pub subdir: Option<PathBuf>,
    pub restrictions: MountRestrictions,
    /// For tests: the share of requests to the object store that fail.
    pub fault_rate: f64,
    pub fault_seed: u64,
    pub log_level: String,
    pub log_file: Option<PathBuf>,
}

impl MountRequest {
    pub fn new(meta_url: MetaUrl, mount_point: &Path) -> Outcome<Self> {
        Ok(MountRequest {
            meta_url,
            mount_point: places::absolute(mount_point)?,
            key: None,
            storage: None,
            upload_limit: None,
            download_limit: None,
            request_limit: None,
            backup_meta: None,
            cache_dirs: Vec::new(),
            cache_sizes: vec![CACHE_BYTES],
            cache_free_ratio: CACHE_FREE_RATIO,
            verify_cache: VerifyCache::Once,
            encrypt_cache: false,
            no_cache: false,
            writeback: false,
            writeback_dir: None,
            writeback_size: WRITEBACK_BYTES,
            shards: None,
            write_buffer: WRITE_BUFFER_BYTES,
            read_buffer: READ_BUFFER_BYTES,
            max_readahead: READAHEAD_BYTES_MAX,
            consistency: Consistency::Coherent,
            attr_timeout: KERNEL_TIMEOUT,
            entry_timeout: KERNEL_TIMEOUT,
            writeback_cache: false,
            transport: Transport::DevFuse,
            acl: true,
            xattr: true,
            access_times: AccessTimeOption::Relatime,
            directory_access_times: true,
            read_only: false,
            allow_other: false,
            allow_idmap: false,
            root_squash: false,
            all_squash: false,
            anon_uid: ANONYMOUS,
            anon_gid: ANONYMOUS,
            subdir: None,
            restrictions: MountRestrictions::default(),
            fault_rate: 0.0,
            fault_seed: 0,
            log_level: "info".into(),
            log_file: None,
        })
    }

    /// Makes the buffers fit into so much memory for the whole daemon. Whole packs take half of the read buffer beside it.
    pub fn fit_into(&mut self, memory: ByteCount) -> Outcome<()> {
        if memory < MEMORY_MIN {
            return Err(Failure::usage(format_args!(
                "--memory {memory}: this is too little to serve a mount; give at least {MEMORY_MIN}"
            )));
        }
        let buffers = memory.0 - MEMORY_BESIDE_BUFFERS.0;
        (self.write_buffer, self.read_buffer) = (ByteCount(buffers / 2), ByteCount(buffers / 3));
        Ok(())
    }

    pub fn squash(&self) -> Squash {
        let whom = match (self.all_squash, self.root_squash) {
            (true, _) => Squashed::Everybody,
            (false, true) => Squashed::Root,
            (false, false) => Squashed::Nobody,
        };
        Squash { whom, uid: self.anon_uid, gid: self.anon_gid }
    }

    /// Refuses what no mount can do, before anything is touched.
    pub fn check(&self) -> Outcome<()> {
        let refuse = |line: String| Err(Failure::usage(line));
        if self.write_buffer < WRITE_BUFFER_BYTES_MIN {
            return refuse(format!(
                "--write-buffer {}: this is too little to write objects with; give at least {WRITE_BUFFER_BYTES_MIN}",
                self.write_buffer
            ));
        }
        if !self.no_cache {
            self.check_cache()?;
        } else if self.encrypt_cache {
            return refuse("--encrypt-cache: with --no-cache there is none; leave one of the two out".into());
        }
        for (option, limit) in [("--upload-limit", self.upload_limit), ("--download-limit", self.download_limit)] {
            if let Some(limit) = limit.filter(|limit| *limit < RATE_MIN) {
                return refuse(format!(
                    "{option} {limit}: nothing would get through in time; give at least {RATE_MIN}"
                ));
            }
        }
        if self.request_limit == Some(0) {
            return refuse("--request-limit 0: nothing would get through; give at least 1, or leave it out".into());
        }
        if self.shards.is_some_and(|shards| shards == 0 || shards > SHARDS_MAX) {
            return refuse(format!("--shards: the number must be from 1 to {SHARDS_MAX}; leave it out for one a core"));
        }
        if self.allow_idmap && self.squash().is_on() {
            return refuse("--allow-idmap: a mount that squashes can't be idmapped; leave one of the two out".into());
        }
        if self.writeback && self.read_only {
            return refuse("--writeback: a read-only mount has nothing to upload; leave one of the two out".into());
        }
        if let Some(span) = self.backup_meta
            && span.0 < BACKUP_INTERVAL_MIN.0
        {
            return refuse(format!("--backup-meta {span}: this is too often; give at least {BACKUP_INTERVAL_MIN}"));
        }
        if !(0.0..=1.0).contains(&self.fault_rate) {
            return refuse(format!("--storage-fault-rate {}: give a share from 0 to 1", self.fault_rate));
        }
        Ok(())
    }
}

impl MountRequest {
    fn check_cache(&self) -> Outcome<()> {
        let refuse = |line: String| Err(Failure::usage(line));
        if let Some(size) = self.cache_sizes.iter().find(|size| **size < CACHE_BYTES_MIN) {
            return refuse(format!(
                "--cache-size {size}: this is too little to be of use; give at least {CACHE_BYTES_MIN}, or --no-cache"
            ));
        }
        let (folders, sizes) = (self.cache_dirs.len().max(1), self.cache_sizes.len());
        if sizes != 1 && sizes != folders {
            return refuse(format!(
                "--cache-size: there are {sizes} sizes for {folders} folders; give one for all, or one for each"
            ));
        }
        if let Some(twice) = self.cache_dirs.iter().enumerate().find(|(at, dir)| self.cache_dirs[..*at].contains(dir)) {
            return refuse(format!("--cache-dir {}: it is named twice; name each folder once", twice.1.display()));
        }
        if !(0.0..1.0).contains(&self.cache_free_ratio) {
            return refuse(format!("--cache-free-ratio {}: give a share from 0 to below 1", self.cache_free_ratio));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_told_and_the_defaults_keep_them() {
        let request = MountRequest::new("sqlite:///x.db".parse().unwrap(), Path::new("/mnt")).unwrap();
        request.check().unwrap();
        let refused = |request: MountRequest| request.check().unwrap_err().to_string();
        assert!(refused(MountRequest { shards: Some(0), ..request.clone() }).contains("1 to 256"));
        assert!(refused(MountRequest { write_buffer: ByteCount(1), ..request.clone() }).contains("16 MiB"));
        let sizes = |sizes: &[u64]| sizes.iter().map(|size| ByteCount(*size)).collect::<Vec<_>>();
        assert!(refused(MountRequest { cache_sizes: sizes(&[1 << 30, 0]), ..request.clone() }).contains("--no-cache"));
        assert!(
            refused(MountRequest { cache_sizes: sizes(&[1 << 30; 2]), ..request.clone() }).contains("for 1 folders")
        );
        let dirs = vec!["/a".into(), "/b".into()];
        let two = MountRequest { cache_dirs: dirs.clone(), cache_sizes: sizes(&[1 << 30; 2]), ..request.clone() };
        two.check().unwrap();
        let twice = MountRequest { cache_dirs: [&dirs[..], &dirs[..1]].concat(), ..request.clone() };
        assert!(refused(twice).contains("--cache-dir /a"));
        assert!(refused(MountRequest { cache_free_ratio: 1.0, ..request.clone() }).contains("--cache-free-ratio 1"));
        let both = MountRequest { allow_idmap: true, root_squash: true, ..request.clone() };
        assert!(refused(both).contains("--allow-idmap"));
        let both = MountRequest { writeback: true, read_only: true, ..request.clone() };
        assert!(refused(both).contains("--writeback"));
        let slow = MountRequest { upload_limit: Some(ByteCount(1)), ..request.clone() };
        assert!(refused(slow).contains("--upload-limit"));
        assert!(refused(MountRequest { backup_meta: Some(Span(Duration::ZERO)), ..request.clone() }).contains("1m"));
        assert!(refused(MountRequest { request_limit: Some(0), ..request.clone() }).contains("--request-limit"));
        assert!(refused(MountRequest { fault_rate: f64::NAN, ..request }).contains("0 to 1"));
    }

    #[test]
    fn the_buffers_fit_into_the_memory_that_is_given() {
        let mut request = MountRequest::new("sqlite:///x.db".parse().unwrap(), Path::new("/mnt")).unwrap();
        for memory in [MEMORY_MIN.0, 1 << 30, 16 << 30] {
            request.fit_into(ByteCount(memory)).unwrap();
            request.check().unwrap();
            let packs = request.read_buffer.0 / 2;
            let buffers = request.write_buffer.0 + request.read_buffer.0 + packs;
            assert!((memory - MEMORY_BESIDE_BUFFERS.0 - 3..=memory - MEMORY_BESIDE_BUFFERS.0).contains(&buffers));
        }
        assert!(request.fit_into(ByteCount(MEMORY_MIN.0 - 1)).unwrap_err().to_string().contains("--memory"));
    }
}
