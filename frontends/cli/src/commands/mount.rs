//! `shoal mount`: serves a volume at a mount point, in the background unless told otherwise.

use crate::arguments::GlobalArguments;
use crate::consistency;
use crate::daemon;
use crate::exit::Exit;
use crate::failure::Outcome;
use crate::key_source::KeyArguments;
use crate::logging;
use crate::mount_options;
use crate::mount_request::{ANONYMOUS, CACHE_FREE_RATIO, MountRequest};
use crate::output::say;
use crate::places;
use crate::serve::{self, Serving};
use crate::size::{ByteCount, Span};
use crate::transport::Transport;
use crate::verify_cache::VerifyCache;
use shoal_types::Consistency;
use std::path::PathBuf;

/// Mount a volume
///
/// Returns once the mount serves. Ends with `shoal umount`, or when the daemon gets SIGTERM or SIGINT: it commits what
/// is buffered, unmounts and releases its session.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  shoal mount sqlite:///srv/photos.db /mnt/photos
  shoal mount sqlite:///srv/photos.db /mnt/photos --foreground --log-level debug
  shoal mount sqlite:///srv/photos.db /mnt/photos --cache-dir /nvme/cache --cache-size 100G
  shoal mount sqlite:///srv/photos.db /mnt/photos --cache-dir /nvme0 --cache-size 100G --cache-dir /nvme1 --cache-size 50G
  shoal mount sqlite:///srv/photos.db /mnt/2026 --subdir albums/2026 --read-only
  shoal mount sqlite:///srv/photos.db /mnt/photos -o ro,allow_other
  shoal mount sqlite:///srv/photos.db /mnt/photos --upload-limit 10M --download-limit 50M
  shoal mount redis://cache/0 /mnt/photos --consistency strict
  shoal mount redis://cache/0 /mnt/sets --read-only --consistency relaxed --attr-timeout 1h --entry-timeout 1h
  shoal mount sqlite:///srv/photos.db /mnt/photos --key-file /root/photos.key
  shoal mount sqlite:///srv/photos.db /mnt/photos --backup-meta 1h
  shoal mount redis://cache/0 /mnt/photos --writeback --writeback-dir /nvme/writeback --writeback-size 50G
  shoal mount sqlite:///srv/photos.db /mnt/photos --transport io_uring")]
pub struct Arguments {
    /// The volume's metadata, for example sqlite:///srv/volume.db
    pub meta_url: String,
    /// A directory that exists
    pub mount_point: PathBuf,
    /// Stay attached to the terminal, and log to it
    #[arg(short, long)]
    pub foreground: bool,
    #[command(flatten)]
    pub key: KeyArguments,
    /// Where its objects are for this mount: another way to the same store, or a copy that is only read [default: where
    /// format put them]
    #[arg(long, value_name = "URL")]
    pub storage: Option<String>,
    /// The most bytes a second that go to the object store
    #[arg(long, value_name = "SIZE")]
    pub upload_limit: Option<ByteCount>,
    /// The most bytes a second that come from it
    #[arg(long, value_name = "SIZE")]
    pub download_limit: Option<ByteCount>,
    /// The most requests a second that the object store is asked
    #[arg(long, value_name = "N")]
    pub request_limit: Option<u64>,
    /// Back the metadata up into the object store so often, for example 1h; of several mounts one at a time does. Refused for
    /// encrypted volumes: names would lie there in the clear
    #[arg(long, value_name = "TIME")]
    pub backup_meta: Option<Span>,
    /// Folder of the local cache of file content; given several times, files are spread over the folders [default: the
    /// volume's own below ~/.cache/shoal; /var/cache/shoal for root]
    #[arg(long, value_name = "DIR")]
    pub cache_dir: Vec<PathBuf>,
    /// Bytes that the cache may take: in each folder, or given once for each, in the same order
    #[arg(long, value_name = "SIZE", default_value = "10G")]
    pub cache_size: Vec<ByteCount>,
    /// The share of each cache folder's disk that stays free
    #[arg(long, value_name = "SHARE", default_value_t = CACHE_FREE_RATIO)]
    pub cache_free_ratio: f64,
    /// When cached bytes are checked: once, when this mount first meets what an earlier one has left; always, which is at
    /// every read as well
    #[arg(long, value_name = "LEVEL", default_value = "once")]
    pub verify_cache: VerifyCache,
    /// Encrypt what is kept on the local disk, for encrypted volumes
    #[arg(long)]
    pub encrypt_cache: bool,
    /// Keep no content on the local disk
    #[arg(long)]
    pub no_cache: bool,
    /// Store what is written in a folder of this host first, synced, and upload it later: close and fsync don't wait for the
    /// object store. Other mounts see it at once and wait for its bytes until they are uploaded
    #[arg(long)]
    pub writeback: bool,
    /// The folder, of this mount or of several [default: ~/.local/state/shoal/writeback; /var/lib/shoal/writeback for root]
    #[arg(long, value_name = "DIR")]
    pub writeback_dir: Option<PathBuf>,
    /// The most that may wait there; what doesn't fit goes straight to the object store
    #[arg(long, value_name = "SIZE", default_value = "10G")]
    pub writeback_size: ByteCount,
    /// Threads that serve requests, each with a ring of its own [default: one a core]
    #[arg(long, value_name = "N")]
    pub shards: Option<usize>,
    /// Memory that the daemon may take altogether: sets the two buffers below
    #[arg(long, value_name = "SIZE", conflicts_with_all = ["write_buffer", "read_buffer"])]
    pub memory: Option<ByteCount>,
    /// Memory for written bytes that are not stored yet; writers wait when it is full
    #[arg(long, value_name = "SIZE", default_value = "300M")]
    pub write_buffer: ByteCount,
    /// Memory for content that has been read or fetched ahead
    #[arg(long, value_name = "SIZE", default_value = "256M")]
    pub read_buffer: ByteCount,
    /// The most that is fetched ahead of one sequential reader
    #[arg(long, value_name = "SIZE", default_value = "64M")]
    pub max_readahead: ByteCount,
    /// How soon changes of other mounts are seen: strict, at once, by asking the store each time; coherent, within
    /// milliseconds; relaxed, as coherent, but the kernel keeps what it knows for as long as the time-outs below say.
    /// Who opens a file sees what was closed before, in any case
    #[arg(long, value_name = "MODE", default_value = "coherent", value_parser = consistency::parse)]
    pub consistency: Consistency,
    /// How long the kernel may answer attributes from memory; at most a second, unless relaxed
    #[arg(long, value_name = "SECONDS", default_value = "1")]
    pub attr_timeout: Span,
    /// The same for names
    #[arg(long, value_name = "SECONDS", default_value = "1")]
    pub entry_timeout: Span,
    /// Let the kernel collect small writes; sizes and times are then its guess until it has written them back
    #[arg(long)]
    pub writeback_cache: bool,
    /// What requests travel through: dev_fuse; io_uring, which root switches on for the machine; auto, which is
    /// io_uring where it is switched on
    #[arg(long, value_name = "NAME", default_value = "dev_fuse")]
    pub transport: Transport,
    /// Refuse every change; the kernel may then read cached files by itself, which is faster
    #[arg(long)]
    pub read_only: bool,
    /// Let users other than the one who mounts use it, as the permission bits say
    #[arg(long)]
    pub allow_other: bool,
    /// Let views of the mount with other ids be made: mount_setattr(2), `mount -o X-mount.idmap=…`, containers. Only
    /// requests that make something then tell who asks, and each write has the daemon look it up
    #[arg(long)]
    pub allow_idmap: bool,
    /// Treat the superuser as the anonymous user, who has no privileges
    #[arg(long)]
    pub root_squash: bool,
    /// Treat everybody as the anonymous user
    #[arg(long)]
    pub all_squash: bool,
    /// The anonymous user
    #[arg(long, value_name = "UID", default_value_t = ANONYMOUS)]
    pub anon_uid: u32,
    /// The anonymous user's group
    #[arg(long, value_name = "GID", default_value_t = ANONYMOUS)]
    pub anon_gid: u32,
    /// Show only this folder of the volume
    #[arg(long, value_name = "PATH")]
    pub subdir: Option<PathBuf>,
    /// Options as in /etc/fstab, for example ro,allow_other,cache_size=1G
    #[arg(short = 'o', value_name = "OPTIONS")]
    pub options: Vec<String>,
    /// Tests only: the share of requests to the object store that fail
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, hide = true)]
    pub storage_fault_rate: f64,
    /// Tests only: which of them
    #[arg(long, value_name = "N", default_value_t = 0, hide = true)]
    pub storage_fault_seed: u64,
}

pub fn run(arguments: Arguments, global: &GlobalArguments) -> Outcome<Exit> {
    let foreground = arguments.foreground;
    let request = request(arguments, global)?;
    if let Some(warning) = request.meta_url.durability_warning()? {
        say(format_args!("warning: {warning}"));
    }
    match foreground {
        true => in_foreground(&request, global)?,
        false => tell(&daemon::start(&request)?),
    }
    Ok(Exit::Success)
}

pub fn in_foreground(request: &MountRequest, global: &GlobalArguments) -> Outcome<()> {
    let file = global.log_file()?.as_deref().map(logging::open_file).transpose()?;
    logging::start(&request.log_level, file)?;
    serve::run(request, None, tell)
}

/// One line for people.
pub fn tell(serving: &Serving) {
    let Serving { volume, mount_point, .. } = serving;
    say(format_args!("volume {volume} is mounted on {}", mount_point.display()));
}

fn request(arguments: Arguments, global: &GlobalArguments) -> Outcome<MountRequest> {
    let plain = MountRequest::new(arguments.meta_url.parse()?, &arguments.mount_point)?;
    let mut request = MountRequest {
        key: arguments.key.source()?,
        storage: arguments.storage,
        upload_limit: arguments.upload_limit,
        download_limit: arguments.download_limit,
        request_limit: arguments.request_limit,
        backup_meta: arguments.backup_meta,
        cache_dirs: arguments.cache_dir.iter().map(|folder| places::absolute(folder)).collect::<Outcome<_>>()?,
        cache_sizes: arguments.cache_size,
        cache_free_ratio: arguments.cache_free_ratio,
        verify_cache: arguments.verify_cache,
        encrypt_cache: arguments.encrypt_cache,
        no_cache: arguments.no_cache,
        writeback: arguments.writeback,
        writeback_dir: arguments.writeback_dir.as_deref().map(places::absolute).transpose()?,
        writeback_size: arguments.writeback_size,
        shards: arguments.shards,
        write_buffer: arguments.write_buffer,
        read_buffer: arguments.read_buffer,
        max_readahead: arguments.max_readahead,
        consistency: arguments.consistency,
        attr_timeout: arguments.attr_timeout,
        entry_timeout: arguments.entry_timeout,
        writeback_cache: arguments.writeback_cache,
        transport: arguments.transport,
        read_only: arguments.read_only,
        allow_other: arguments.allow_other,
        allow_idmap: arguments.allow_idmap,
        root_squash: arguments.root_squash,
        all_squash: arguments.all_squash,
        anon_uid: arguments.anon_uid,
        anon_gid: arguments.anon_gid,
        subdir: arguments.subdir,
        fault_rate: arguments.storage_fault_rate,
        fault_seed: arguments.storage_fault_seed,
        ..plain
    };
    take_global(&mut request, global)?;
    if let Some(memory) = arguments.memory {
        request.fit_into(memory)?;
    }
    arguments.options.iter().try_for_each(|list| mount_options::apply(&mut request, list))?;
    request.check()?;
    Ok(request)
}

pub fn take_global(request: &mut MountRequest, global: &GlobalArguments) -> Outcome<()> {
    request.log_file = global.log_file()?;
    if let Some(level) = &global.log_level {
        request.log_level.clone_from(level);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments;
    use crate::mount_request;
    use clap::Parser;
    use std::path::Path;

    fn parsed(list: &[&str]) -> Outcome<MountRequest> {
        let given = ["shoal", "mount"].iter().chain(list);
        let arguments::Arguments { command: arguments::Command::Mount(mount), global } =
            arguments::Arguments::try_parse_from(given).unwrap()
        else {
            panic!("a mount was asked for");
        };
        request(*mount, &global)
    }

    #[test]
    fn a_bare_mount_has_the_defaults_of_the_helper() {
        let plain = MountRequest::new("sqlite:///x.db".parse().unwrap(), Path::new("/mnt")).unwrap();
        assert_eq!(parsed(&["sqlite:///x.db", "/mnt"]).unwrap(), plain);
        assert_eq!(plain.write_buffer, mount_request::WRITE_BUFFER_BYTES);
    }

    #[test]
    fn options_in_a_list_win_over_those_before_them() {
        let made = parsed(&["sqlite:///x.db", "/mnt", "--read-only", "--shards", "2", "-o", "rw", "-o", "shards=4"]);
        let made = made.unwrap();
        assert_eq!((made.read_only, made.shards), (false, Some(4)));
        assert!(parsed(&["sqlite:///x.db", "/mnt", "-o", "bad"]).is_err());
    }
}
