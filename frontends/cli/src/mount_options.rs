//! The `-o` list of `mount(8)` and `/etc/fstab`. What others read (`noauto`, `_netdev`, `x-…`) is ignored knowingly; an
//! option that nobody here understands is refused, because leaving it out may mean something its author counts on.

use crate::consistency;
use crate::failure::{Failure, Outcome};
use crate::key_source::KeySource;
use crate::mount_request::{AccessTimeOption, MountRequest};
use crate::places;
use std::path::Path;
use std::str::FromStr;

/// Options for `mount(8)`, systemd or the kernel's defaults: nothing for us to do.
const IGNORED: [&str; 17] = [
    "rw",
    "defaults",
    "auto",
    "noauto",
    "nofail",
    "_netdev",
    "user",
    "users",
    "owner",
    "group",
    "nouser",
    "suid",
    "dev",
    "exec",
    "async",
    "atime",
    "default_permissions",
];
const IGNORED_PREFIXES: [&str; 3] = ["x-", "X-", "comment="];
const KNOWN: &str = "ro, rw, allow_other, allow_idmap, subdir=, backup_meta=, cache_dir=, cache_size=, cache_free_ratio=, verify_cache=, encrypt_cache, no_cache, writeback, writeback_dir=, writeback_size=, shards=, \
    memory=, write_buffer=, read_buffer=, storage=, upload_limit=, download_limit=, request_limit=, passphrase_env=, key_file=, kms_command=, \
    max_readahead=, consistency=, attr_timeout=, entry_timeout=, writeback_cache, transport=, relatime, noatime, strictatime, \
    diratime, nodiratime, acl, noacl, xattr, noxattr, nosuid, nodev, noexec, root_squash, all_squash, \
    anonuid=, anongid=, log_level=, log_file=";

/// Lays a list over `request`; a later option wins.
pub fn apply(request: &mut MountRequest, list: &str) -> Outcome<()> {
    list.split(',').filter(|option| !option.is_empty()).try_for_each(|option| apply_one(request, option))
}

fn apply_one(request: &mut MountRequest, option: &str) -> Outcome<()> {
    if IGNORED_PREFIXES.iter().any(|prefix| option.starts_with(prefix)) {
        return Ok(());
    }
    match option.split_once('=') {
        None => apply_word(request, option),
        Some((_, "")) => Err(Failure::usage(format_args!("-o {option}: the value is missing; write it behind the ="))),
        Some((name, value)) => apply_value(request, name, value),
    }
}

fn apply_word(request: &mut MountRequest, word: &str) -> Outcome<()> {
    match word {
        "ro" => request.read_only = true,
        "rw" => request.read_only = false,
        "allow_other" => request.allow_other = true,
        "allow_idmap" => request.allow_idmap = true,
        "root_squash" => request.root_squash = true,
        "no_root_squash" => request.root_squash = false,
        "all_squash" => request.all_squash = true,
        "no_all_squash" => request.all_squash = false,
        "no_cache" => request.no_cache = true,
        "encrypt_cache" => request.encrypt_cache = true,
        "writeback" => request.writeback = true,
        "writeback_cache" => request.writeback_cache = true,
        "relatime" => request.access_times = AccessTimeOption::Relatime,
        "noatime" => request.access_times = AccessTimeOption::Noatime,
        "strictatime" => request.access_times = AccessTimeOption::Strictatime,
        "diratime" => request.directory_access_times = true,
        "nodiratime" => request.directory_access_times = false,
        "acl" => request.acl = true,
        "noacl" => request.acl = false,
        "xattr" => request.xattr = true,
        "noxattr" => request.xattr = false,
        "nosuid" => request.restrictions.nosuid = true,
        "nodev" => request.restrictions.nodev = true,
        "noexec" => request.restrictions.noexec = true,
        "suid" => request.restrictions.nosuid = false,
        "dev" => request.restrictions.nodev = false,
        "exec" => request.restrictions.noexec = false,
        word if IGNORED.contains(&word) => {}
        word => return Err(unknown(word)),
    }
    Ok(())
}

fn apply_value(request: &mut MountRequest, name: &str, value: &str) -> Outcome<()> {
    match name {
        "subdir" => request.subdir = Some(value.into()),
        "cache_dir" => {
            let folders = value.split(':').map(|folder| places::absolute(Path::new(folder)));
            request.cache_dirs = folders.collect::<Outcome<_>>()?;
        }
        "cache_size" => {
            request.cache_sizes = value.split(':').map(|size| parse(name, size)).collect::<Outcome<_>>()?;
        }
        "cache_free_ratio" => request.cache_free_ratio = parse(name, value)?,
        "verify_cache" => request.verify_cache = parse(name, value)?,
        "writeback_dir" => request.writeback_dir = Some(places::absolute(Path::new(value))?),
        "writeback_size" => request.writeback_size = parse(name, value)?,
        "storage" => request.storage = Some(value.into()),
        "upload_limit" => request.upload_limit = Some(parse(name, value)?),
        "download_limit" => request.download_limit = Some(parse(name, value)?),
        "request_limit" => request.request_limit = Some(parse(name, value)?),
        "passphrase_env" => request.key = Some(KeySource::PassphraseEnv(value.into())),
        "key_file" => request.key = Some(KeySource::KeyFile(places::absolute(Path::new(value))?)),
        "kms_command" => request.key = Some(KeySource::KmsCommand(value.into())),
        "backup_meta" => request.backup_meta = Some(parse(name, value)?),
        "shards" => request.shards = Some(parse(name, value)?),
        "memory" => request.fit_into(parse(name, value)?)?,
        "write_buffer" => request.write_buffer = parse(name, value)?,
        "read_buffer" => request.read_buffer = parse(name, value)?,
        "max_readahead" => request.max_readahead = parse(name, value)?,
        "consistency" => {
            request.consistency = consistency::parse(value).map_err(Failure::usage)?;
        }
        "attr_timeout" => request.attr_timeout = parse(name, value)?,
        "transport" => request.transport = parse(name, value)?,
        "entry_timeout" => request.entry_timeout = parse(name, value)?,
        "anonuid" => request.anon_uid = parse(name, value)?,
        "anongid" => request.anon_gid = parse(name, value)?,
        "log_level" => request.log_level = value.into(),
        "log_file" => request.log_file = Some(places::absolute(Path::new(value))?),
        name => return Err(unknown(name)),
    }
    Ok(())
}

fn parse<T: FromStr>(name: &str, value: &str) -> Outcome<T>
where
    T::Err: std::fmt::Display,
{
    value.parse().map_err(|error| Failure::usage(format_args!("-o {name}={value}: {error}")))
}

fn unknown(name: &str) -> Failure {
    Failure::usage(format_args!("-o {name}: this option is not known; known are {KNOWN}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::size::ByteCount;
    use crate::transport::Transport;
    use crate::verify_cache::VerifyCache;
    use shoal_fuse::{Squash, Squashed};

    fn request() -> MountRequest {
        MountRequest::new("sqlite:///x.db".parse().unwrap(), Path::new("/mnt")).unwrap()
    }

    #[test]
    fn what_mount_and_fstab_pass_is_understood() {
        let mut made = request();
        apply(
            &mut made,
            "ro,nosuid,allow_other,cache_size=1G,shards=3,subdir=a/b,attr_timeout=0.5,noexec,exec,noacl,noatime",
        )
        .unwrap();
        assert!(made.read_only && made.allow_other && made.restrictions.nosuid && !made.restrictions.noexec);
        assert!(!made.acl && request().acl);
        assert_eq!(made.access_times, AccessTimeOption::Noatime);
        assert_eq!((&made.cache_sizes[..], made.shards), (&[ByteCount(1 << 30)][..], Some(3)));
        assert_eq!(made.subdir.as_deref(), Some(Path::new("a/b")));
        assert_eq!(made.attr_timeout.0.as_millis(), 500);
        apply(&mut made, "cache_dir=/a:/b,cache_size=1G:2G,cache_free_ratio=0.25,verify_cache=always").unwrap();
        assert_eq!(made.cache_dirs, [Path::new("/a"), Path::new("/b")]);
        assert_eq!(made.cache_sizes, [ByteCount(1 << 30), ByteCount(2 << 30)]);
        assert_eq!((made.cache_free_ratio, made.verify_cache), (0.25, VerifyCache::Always));
        apply(&mut made, "writeback,writeback_dir=/w,writeback_size=1G").unwrap();
        assert_eq!((made.writeback, made.writeback_dir.as_deref()), (true, Some(Path::new("/w"))));
        assert_eq!(made.writeback_size, ByteCount(1 << 30));
        apply(&mut made, "transport=io_uring").unwrap();
        assert_eq!(made.transport, Transport::IoUring);
    }

    #[test]
    fn squashing_is_spelt_as_for_nfs() {
        let squash = |list: &str| {
            let mut made = request();
            apply(&mut made, list).unwrap();
            made.squash()
        };
        let made = |whom, uid, gid| Squash { whom, uid, gid };
        assert_eq!(squash("rw"), made(Squashed::Nobody, 65_534, 65_534));
        assert_eq!(squash("root_squash,anonuid=7"), made(Squashed::Root, 7, 65_534));
        assert_eq!(squash("root_squash,all_squash,anongid=8"), made(Squashed::Everybody, 65_534, 8));
        assert_eq!(squash("all_squash,no_all_squash"), made(Squashed::Nobody, 65_534, 65_534));
        assert!(apply(&mut request(), "anonuid=nobody").is_err());
    }

    #[test]
    fn what_is_for_others_changes_nothing() {
        let mut made = request();
        apply(
            &mut made,
            "defaults,rw,noauto,_netdev,nofail,x-systemd.automount,X-mount.mkdir,comment=a,user,relatime,,",
        )
        .unwrap();
        assert_eq!(made, request());
    }

    #[test]
    fn unknown_options_and_broken_values_are_refused_by_name() {
        let refusal = |list: &str| apply(&mut request(), list).unwrap_err().to_string();
        assert!(refusal("rw,mandb").contains("-o mandb"));
        assert!(refusal("cache=1").contains("-o cache"));
        assert!(refusal("cache_size=1G:x").contains("-o cache_size=x"));
        assert!(refusal("verify_cache=none").contains("choose once or always"));
        assert!(refusal("subdir=").contains("missing"));
        assert!(refusal("shards=many").contains("-o shards=many"));
        assert!(refusal("transport=pigeon").contains("choose dev_fuse, io_uring or auto"));
    }
}
