//! `shoal format`: makes a new volume. Everything is checked before anything is made.

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::key_source::{KeyArguments, KeySource};
use crate::meta_url::MetaUrl;
use crate::output::say;
use crate::size::{ByteCount, Span};
use crate::storage::Storage;
use crate::storage_secrets;
use crate::volume;
use shoal_encryption::{VolumeKey, VolumeSealer};
use shoal_metadata::{FormatOptions, Limits};
use shoal_object_store::StorageUrl;
use shoal_types::{AlsoEncrypted, Cipher, Compression, SCHEMA_VERSION, Staging, VolumeSettings};
use std::time::Duration;
use uuid::Uuid;

/// Make a new volume
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  shoal format sqlite:///srv/photos.db photos
  shoal format sqlite:///srv/photos.db photos --storage file:///big-disk/photos
  shoal format postgres://me@db.example/shoal photos --storage s3://bucket/photos?region=eu-west-1
  shoal format sqlite:///srv/photos.db photos --capacity 1T --inodes 10000000
  shoal format sqlite:///srv/photos.db photos --trash-days 7
  shoal format sqlite:///srv/logs.db logs --compress zstd:3
  shoal format sqlite:///srv/mail.db mail --storage s3://mail/a --stage-max 32K
  shoal format sqlite:///srv/a.db a --encrypt aes-256-gcm --key-file /root/a.key
  shoal format sqlite:///srv/b.db b --encrypt aes-256-gcm --encrypt-also symlinks,xattrs --passphrase-env WORDS
  shoal format fdb:///etc/foundationdb/fdb.cluster?prefix=photos photos --storage s3://bucket/photos?region=eu-west-1
  SHOAL_META_PASSWORD=… shoal format postgres://me@db.example/shoal photos --storage file:///shared/photos
  shoal format sqlite:///srv/logs.db logs --block-size 16M --inline-max 0 --delete-grace 1h")]
pub struct Arguments {
    /// Where its metadata is to be: sqlite:///FILE, redis://HOST/DB, postgres://USER@HOST/DB, mysql://USER@HOST/DB,
    /// fdb:///CLUSTER-FILE or tikv://PD,PD/NAME. On servers, ?prefix=NAME keeps several volumes apart, ?tls=on (rediss://
    /// for Redis) protects the connection, with ca=FILE, cert=FILE and key=FILE as needed, and the password comes from
    /// SHOAL_META_PASSWORD, or from the file that SHOAL_META_PASSWORD_FILE names. FoundationDB's client library is the
    /// system's, or FDB_CLIENT_LIB_PATH
    pub meta_url: String,
    /// Its name: letters, digits, '-', '_' and '.'
    pub name: String,
    /// Where its objects are to be: file:///FOLDER, s3://BUCKET/PREFIX and others; shoal storages lists them with their
    /// options. No secrets: those come from the environment, see docs/storage.md [default: a folder beside the database;
    /// none for servers]
    #[arg(long, value_name = "URL")]
    pub storage: Option<String>,
    /// Largest object: a power of two from 64K to 64M
    #[arg(long, value_name = "SIZE", default_value = "4M")]
    pub block_size: ByteCount,
    /// Files up to this size live in the metadata; at most 64K, 0 turns it off
    #[arg(long, value_name = "SIZE", default_value = "4K")]
    pub inline_max: ByteCount,
    /// Files up to this size wait in the metadata until many of them are packed into one object; at most 64K, 0 turns it off.
    /// By default 64K, and 0 where the storage is a folder
    #[arg(long, value_name = "SIZE")]
    pub stage_max: Option<ByteCount>,
    /// So many bytes may wait there in all; files beyond that become objects of their own
    #[arg(long, value_name = "SIZE", default_value = "1G")]
    pub stage_total: ByteCount,
    /// How long the objects of removed files are kept
    #[arg(long, value_name = "TIME", default_value = "60s")]
    pub delete_grace: Span,
    /// Compress content: none, lz4, zstd or zstd:LEVEL
    #[arg(long, value_name = "CODEC", default_value_t)]
    pub compress: Compression,
    /// Encrypt content: aes-256-gcm or chacha20-poly1305; every mount then needs what opens the key
    #[arg(long, value_name = "CIPHER")]
    pub encrypt: Option<Cipher>,
    /// Encrypt in the metadata as well: symlinks (their targets), xattrs (values of extended attributes), or both
    #[arg(long, value_name = "LIST", value_delimiter = ',', requires = "encrypt")]
    pub encrypt_also: Vec<Also>,
    #[command(flatten)]
    pub key: KeyArguments,
    /// Keep what the environment says about the credentials of the object store in the metadata, sealed with the volume's
    /// key; needs --encrypt. Without it, every mount needs them in its environment. Changed later by shoal config
    #[arg(long)]
    pub seal_credentials: bool,
    /// The most bytes it may take; changed later by shoal config [default: no limit]
    #[arg(long, value_name = "SIZE")]
    pub capacity: Option<ByteCount>,
    /// The most files, directories and other inodes it may have [default: no limit]
    #[arg(long, value_name = "N")]
    pub inodes: Option<u64>,
    /// Keep removed files in /.trash for so many days; 0: not at all. Changed later by shoal config
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub trash_days: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Also {
    Symlinks,
    Xattrs,
}

/// What the one who formats may choose.
pub struct Wishes {
    /// The default is beside the metadata.
    pub storage: Option<String>,
    pub block_size: ByteCount,
    pub inline_max: ByteCount,
    /// As the storage suggests, if it's not said.
    pub stage_max: Option<ByteCount>,
    pub stage_total: ByteCount,
    pub delete_grace: Span,
    pub compression: Compression,
    /// With what opens the key.
    pub encryption: Option<(Cipher, KeySource)>,
    pub also_encrypted: AlsoEncrypted,
    /// What opens the store is kept in the metadata, sealed.
    pub seal_credentials: bool,
    pub limits: Limits,
    pub trash_days: u32,
}

impl Default for Wishes {
    fn default() -> Self {
        Wishes {
            storage: None,
            block_size: ByteCount(shoal_types::BLOCK_BYTES),
            inline_max: ByteCount(4 << 10),
            stage_max: None,
            stage_total: ByteCount(1 << 30),
            delete_grace: Span(Duration::from_secs(60)),
            compression: Compression::None,
            encryption: None,
            also_encrypted: AlsoEncrypted::default(),
            seal_credentials: false,
            limits: Limits::default(),
            trash_days: 0,
        }
    }
}

const NAME_BYTES_MAX: usize = 63;

pub fn run(arguments: Arguments) -> Outcome<Exit> {
    let url: MetaUrl = arguments.meta_url.parse()?;
    let encryption = encryption(arguments.encrypt, arguments.key.source()?)?;
    let Arguments { storage, block_size, inline_max, stage_max, stage_total, seal_credentials, .. } = arguments;
    let Arguments { delete_grace, capacity, inodes, trash_days, .. } = arguments;
    let limits = Limits { bytes: capacity.map(|bytes| bytes.0), inodes };
    let compression = arguments.compress;
    let wishes = Wishes {
        storage,
        block_size,
        inline_max,
        stage_max,
        stage_total,
        delete_grace,
        compression,
        encryption,
        also_encrypted: AlsoEncrypted {
            symlinks: arguments.encrypt_also.contains(&Also::Symlinks),
            xattrs: arguments.encrypt_also.contains(&Also::Xattrs),
        },
        seal_credentials,
        limits,
        trash_days,
    };
    let made = make(&url, &arguments.name, &wishes)?;
    say(format_args!("made the volume {} in {}", made.name, url.shown()));
    say(format_args!("  objects  {}", made.storage));
    if let Some(warning) = url.durability_warning()? {
        say(format_args!("  warning: {warning}"));
    }
    say(format_args!("to mount:  shoal mount {} MOUNTPOINT", url.shown()));
    Ok(Exit::Success)
}

pub fn make(url: &MetaUrl, name: &str, wishes: &Wishes) -> Outcome<VolumeSettings> {
    let settings = settings(url, name, wishes)?;
    if volume::exists(url)? {
        let existing = volume::open(url)?.settings.name;
        return Err(Failure::new(
            Exit::InUse,
            url,
            format_args!("it holds the volume {existing} already"),
            format_args!("name another META-URL, or remove that volume: shoal destroy {url}"),
        ));
    }
    let storage = Storage::for_format(&settings)?;
    // A key that can't be wrapped is known before anything is made.
    let key = VolumeKey::generate();
    let wrapped = match &wishes.encryption {
        Some((_, source)) => Some(source.wrap(&settings.uuid, &key)?),
        None => None,
    };
    let storage_secrets = match wishes.seal_credentials {
        true => {
            let sealer = settings.cipher.map(|cipher| VolumeSealer::new(cipher, &key, &settings.uuid));
            Some(storage_secrets::sealed(storage.secrets(), sealer.as_ref())?)
        }
        false => None,
    };
    // The storage is claimed first: a claim without a volume is harmless, a volume without storage is not.
    url.check_folder()?;
    storage.claim(url)?;
    let options = FormatOptions { limits: wishes.limits, trash_days: wishes.trash_days, key: wrapped, storage_secrets };
    if let Err(failure) = volume::make(url, &settings, &options) {
        // The failure is what matters; a claim that stays is taken away by the next format on this META-URL.
        let _ = storage.withdraw_claim();
        return Err(failure);
    }
    Ok(settings)
}

fn settings(url: &MetaUrl, name: &str, wishes: &Wishes) -> Outcome<VolumeSettings> {
    check_name(name)?;
    let storage = match (&wishes.storage, url.default_storage()) {
        (Some(storage), _) => storage.clone(),
        (None, Some(folder)) => format!("file://{}", folder.display()),
        (None, None) => {
            let cure = "say where its objects are to be, for example --storage file:///srv/objects";
            return Err(Failure::usage(format_args!("{url}: there is no folder beside a server; {cure}")));
        }
    };
    let stage_max = wishes.stage_max.unwrap_or_else(|| default_stage_max(&storage));
    Ok(VolumeSettings {
        schema: SCHEMA_VERSION,
        name: name.to_owned(),
        uuid: Uuid::new_v4().to_string(),
        storage,
        block_bytes: block_bytes(wishes.block_size)?,
        inline_bytes_max: small_bytes_max("--inline-max", wishes.inline_max)?,
        staging: Staging {
            file_bytes_max: small_bytes_max("--stage-max", stage_max)?,
            total_bytes_max: wishes.stage_total.0.min(i64::MAX.cast_unsigned()),
        },
        delete_grace_seconds: delete_grace_seconds(wishes.delete_grace)?,
        compression: wishes.compression,
        cipher: wishes.encryption.as_ref().map(|(cipher, _)| *cipher),
        also_encrypted: wishes.also_encrypted,
    })
}

/// In a folder an object costs no more than a row of a database does; elsewhere each is a request.
fn default_stage_max(storage: &str) -> ByteCount {
    let is_folder = StorageUrl::parse(storage).is_ok_and(|url| url.folder().is_some());
    ByteCount(if is_folder { 0 } else { u64::from(VolumeSettings::INLINE_BYTES_MAX) })
}

fn encryption(cipher: Option<Cipher>, source: Option<KeySource>) -> Outcome<Option<(Cipher, KeySource)>> {
    match (cipher, source) {
        (Some(cipher), Some(source)) => Ok(Some((cipher, source))),
        (None, None) => Ok(None),
        (Some(cipher), None) => Err(Failure::usage(format_args!(
            "--encrypt {cipher}: something must open the key; give --passphrase-env, --key-file or --kms-command as well"
        ))),
        (None, Some(source)) => Err(Failure::usage(format_args!(
            "{source}: there is nothing to encrypt with it; give --encrypt aes-256-gcm as well"
        ))),
    }
}

fn check_name(name: &str) -> Outcome<()> {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let begins_well = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if begins_well && name.len() <= NAME_BYTES_MAX && name.bytes().all(sound) {
        return Ok(());
    }
    Err(Failure::usage(format_args!(
        "{name}: this is no name for a volume; use up to {NAME_BYTES_MAX} letters, digits, '-', '_' and '.', a letter or \
         digit first"
    )))
}

fn block_bytes(size: ByteCount) -> Outcome<u32> {
    let (min, max) = (VolumeSettings::BLOCK_BYTES_MIN, VolumeSettings::BLOCK_BYTES_MAX);
    match u32::try_from(size.0) {
        Ok(bytes) if (min..=max).contains(&bytes) && bytes.is_power_of_two() => Ok(bytes),
        _ => Err(Failure::usage(format_args!(
            "--block-size {size}: it must be a power of two from {} to {}; 4M suits most",
            ByteCount(min.into()),
            ByteCount(max.into())
        ))),
    }
}

fn small_bytes_max(option: &str, size: ByteCount) -> Outcome<u32> {
    let max = VolumeSettings::INLINE_BYTES_MAX;
    match u32::try_from(size.0) {
        Ok(bytes) if bytes <= max => Ok(bytes),
        _ => Err(Failure::usage(format_args!(
            "{option} {size}: metadata takes files of at most {}; give that or less",
            ByteCount(max.into())
        ))),
    }
}

fn delete_grace_seconds(span: Span) -> Outcome<u32> {
    const MAX: Duration = Duration::from_secs(10 * 365 * 86400);
    match u32::try_from(span.0.as_secs()) {
        Ok(seconds) if span.0 <= MAX => Ok(seconds),
        _ => Err(Failure::usage(format_args!("--delete-grace {span}: this is too long; give at most {}", Span(MAX)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(name: &str, change: impl FnOnce(&mut Wishes)) -> Result<VolumeSettings, String> {
        let mut wishes = Wishes::default();
        change(&mut wishes);
        let url = "sqlite:///srv/x.db".parse().unwrap();
        settings(&url, name, &wishes).map_err(|failure| failure.to_string())
    }

    #[test]
    fn the_defaults_make_a_sound_volume_beside_the_database() {
        let made = tried("photos", |_| {}).unwrap();
        assert_eq!(made.storage, "file:///srv/x.objects");
        assert_eq!((made.block_bytes, made.inline_bytes_max, made.delete_grace_seconds), (4 << 20, 4096, 60));
        assert_ne!(made.uuid, tried("photos", |_| {}).unwrap().uuid);
    }

    #[test]
    fn every_bound_is_told_with_the_option_it_belongs_to() {
        for size in [0, 4096, 3 << 20, 128 << 20, u64::MAX] {
            let refusal = tried("x", |wishes| wishes.block_size = ByteCount(size)).unwrap_err();
            assert!(refusal.contains("--block-size") && refusal.contains("64 MiB"), "{refusal}");
        }
        assert!(tried("x", |wishes| wishes.inline_max = ByteCount(0)).is_ok());
        let refusal = tried("x", |wishes| wishes.inline_max = ByteCount(65537)).unwrap_err();
        assert!(refusal.contains("--inline-max") && refusal.contains("64 KiB"), "{refusal}");
        let refusal = tried("x", |wishes| wishes.stage_max = Some(ByteCount(65537))).unwrap_err();
        assert!(refusal.contains("--stage-max") && refusal.contains("64 KiB"), "{refusal}");
        let refusal = tried("x", |wishes| wishes.delete_grace = Span(Duration::MAX)).unwrap_err();
        assert!(refusal.contains("--delete-grace"), "{refusal}");
    }

    #[test]
    fn small_files_are_packed_where_each_object_is_a_request() {
        let stage_max = |storage: &str, said: Option<u64>| {
            let made = tried("x", |wishes| {
                wishes.storage = Some(storage.into());
                wishes.stage_max = said.map(ByteCount);
            });
            made.unwrap().staging.file_bytes_max
        };
        assert_eq!(stage_max("file:///srv/objects", None), 0);
        assert_eq!(stage_max("s3://bucket/x", None), 64 << 10);
        assert_eq!(stage_max("s3://bucket/x", Some(0)), 0);
        assert_eq!(stage_max("file:///srv/objects", Some(1000)), 1000);
    }

    #[test]
    fn names_that_would_confuse_a_shell_or_a_path_are_refused() {
        for bad in ["", "a b", "a/b", "-x", ".x", "é", &"x".repeat(64)] {
            assert!(tried(bad, |_| {}).unwrap_err().contains("no name"), "{bad}");
        }
        assert!(tried(&"x".repeat(63), |_| {}).is_ok());
    }
}
