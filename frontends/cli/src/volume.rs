//! A volume's metadata, found by its META-URL: opening it and making it. Where its objects are is `storage.rs`.

use crate::clock;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::key_source::KeySource;
use crate::meta_url::MetaUrl;
use rustix::process::{getegid, geteuid};
use shoal_encryption::{VolumeKey, VolumeSealer, WrappedKey};
use shoal_kv::Kv;
use shoal_metadata::{FormatOptions, MetaError, Metadata, SealedKv};
use shoal_types::{Errno, VolumeSettings};
use std::sync::Arc;

pub struct Opened {
    pub kv: Arc<dyn Kv>,
    pub metadata: Metadata,
    pub settings: VolumeSettings,
    /// Of an encrypted volume that was opened with its key.
    pub sealer: Option<VolumeSealer>,
    /// What is stored, sealed as it is.
    stored: Arc<dyn Kv>,
}

impl Opened {
    /// For looking through everything: content that the key does not open is in nobody's way.
    pub fn without_key(&self) -> Metadata {
        Metadata::new(blind(self.stored.clone(), &self.settings))
    }
}

/// Fails for what is there and no volume of ours, or one of a newer format.
pub fn exists(url: &MetaUrl) -> Outcome<bool> {
    match open(url) {
        Ok(_) => Ok(true),
        Err(failure) if failure.exit == Exit::NotFound => Ok(false),
        Err(failure) => Err(failure),
    }
}

/// An encrypted volume without its key: what files hold stays hidden.
pub fn open(url: &MetaUrl) -> Outcome<Opened> {
    let (stored, settings) = find(url)?;
    let kv = blind(stored.clone(), &settings);
    Ok(Opened { metadata: Metadata::new(kv.clone()), kv, settings, sealer: None, stored })
}

fn blind(stored: Arc<dyn Kv>, settings: &VolumeSettings) -> Arc<dyn Kv> {
    match settings.cipher {
        Some(_) => Arc::new(SealedKv::without_key(stored, settings.also_encrypted)),
        None => stored,
    }
}

/// With the key if it is encrypted; for all that reads or writes content.
pub fn open_unlocked(url: &MetaUrl, source: Option<&KeySource>) -> Outcome<Opened> {
    let (stored, settings) = find(url)?;
    let (kv, sealer) = match (settings.cipher, source) {
        (None, None) => (stored.clone(), None),
        (None, Some(source)) => return Err(not_encrypted(&settings, source)),
        (Some(cipher), source) => {
            let (key, _) = open_key(url, stored.as_ref(), &settings, source)?;
            let sealer = VolumeSealer::new(cipher, &key, &settings.uuid);
            let kv: Arc<dyn Kv> = Arc::new(SealedKv::new(stored.clone(), settings.also_encrypted, &sealer));
            (kv, Some(sealer))
        }
    };
    Ok(Opened { metadata: Metadata::new(kv.clone()), kv, settings, sealer, stored })
}

fn find(url: &MetaUrl) -> Outcome<(Arc<dyn Kv>, VolumeSettings)> {
    let kv = url.open()?;
    let settings = Metadata::find(kv.as_ref()).map_err(|error| Failure::of_metadata(url, &error))?;
    match settings {
        Some(settings) => Ok((kv, settings)),
        None if is_half_loaded(url, kv.as_ref())? => Err(half_loaded(url)),
        None => Err(url.no_volume()),
    }
}

/// There is something of a dump here and no volume.
pub fn is_half_loaded(url: &MetaUrl, kv: &dyn Kv) -> Outcome<bool> {
    Metadata::is_half_loaded(kv).map_err(|error| Failure::of_metadata(url, &error))
}

pub fn half_loaded(url: &MetaUrl) -> Failure {
    let why = "a dump is being loaded here, or was and not to its end";
    let cure = format!("wait for it, or load again with --restart, or remove it: shoal destroy {url}");
    Failure::new(Exit::InUse, url, why, cure)
}

/// The volume's key, and what it is wrapped in.
pub fn open_key(
    url: &MetaUrl,
    kv: &dyn Kv,
    settings: &VolumeSettings,
    source: Option<&KeySource>,
) -> Outcome<(VolumeKey, WrappedKey)> {
    let wrapped = Metadata::wrapped_key(kv).map_err(|error| Failure::of_metadata(url, &error))?;
    match (wrapped, source, settings.cipher) {
        (Some(wrapped), Some(source), _) => Ok((source.open(&settings.uuid, &wrapped)?, wrapped)),
        (Some(wrapped), None, _) => Err(Failure::new(
            Exit::Permission,
            url,
            format_args!("the volume {} is encrypted", settings.name),
            format_args!("give what opens its key, {}", wrapped.kind()),
        )),
        (None, Some(source), None) => Err(not_encrypted(settings, source)),
        (None, None, None) => Err(Failure::new(
            Exit::Usage,
            url,
            format_args!("the volume {} is not encrypted", settings.name),
            "encryption is chosen at format, with --encrypt",
        )),
        (None, _, Some(_)) => Err(Failure::new(
            Exit::Damaged,
            url,
            "the volume is encrypted, and its key is not there",
            "restore the metadata from a backup",
        )),
    }
}

fn not_encrypted(settings: &VolumeSettings, source: &KeySource) -> Failure {
    let why = format!("the volume {} is not encrypted", settings.name);
    Failure::new(Exit::Usage, source, why, "leave it out; encryption is chosen at format, with --encrypt")
}

/// Makes an empty volume, which belongs to this user. It survives power loss when this returns. A database that is made
/// and does not become a volume is removed again.
pub fn make(url: &MetaUrl, settings: &VolumeSettings, options: &FormatOptions) -> Outcome<()> {
    let fresh = url.is_absent();
    let made = make_in(url, settings, options);
    if made.is_err() && fresh {
        // The first failure is what matters; what is left holds no volume and is in nobody's way.
        let _ = url.remove();
    }
    made
}

fn make_in(url: &MetaUrl, settings: &VolumeSettings, options: &FormatOptions) -> Outcome<()> {
    let kv = url.create()?;
    let owner = (geteuid().as_raw(), getegid().as_raw());
    let made = Metadata::format_with(kv.as_ref(), settings, options, owner, clock::now());
    made.map_err(|error| match error {
        MetaError::Refused(Errno::EEXIST) => {
            Failure::new(Exit::InUse, url, "somebody else has just made a volume here", "name another META-URL")
        }
        error => Failure::of_metadata(url, &error),
    })?;
    kv.close().map_err(|error| Failure::of_store(url, &error))
}
