//! A volume's metadata, found by its META-URL: opening it and making it. Where its objects are is `storage.rs`.

use crate::clock;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::meta_url::MetaUrl;
use rustix::process::{getegid, geteuid};
use shoal_kv::Kv;
use shoal_metadata::{Limits, MetaError, Metadata};
use shoal_types::{Errno, VolumeSettings};
use std::sync::Arc;

pub struct Opened {
    pub kv: Arc<dyn Kv>,
    pub metadata: Metadata,
    pub settings: VolumeSettings,
}

/// Fails for what is there and no volume of ours, or one of a newer format.
pub fn exists(url: &MetaUrl) -> Outcome<bool> {
    match open(url) {
        Ok(_) => Ok(true),
        Err(failure) if failure.exit == Exit::NotFound => Ok(false),
        Err(failure) => Err(failure),
    }
}

pub fn open(url: &MetaUrl) -> Outcome<Opened> {
    let kv = url.open()?;
    let settings = Metadata::find(kv.as_ref()).map_err(|error| Failure::of_metadata(url, &error))?;
    match settings {
        Some(settings) => Ok(Opened { metadata: Metadata::new(kv.clone()), kv, settings }),
        None => Err(url.no_volume()),
    }
}

/// Makes an empty volume, which belongs to this user. It survives power loss when this returns. A database that is made
/// and does not become a volume is removed again.
pub fn make(url: &MetaUrl, settings: &VolumeSettings, limits: Limits, trash_days: u32) -> Outcome<()> {
    let fresh = url.is_absent();
    let made = make_in(url, settings, limits, trash_days);
    if made.is_err() && fresh {
        // The first failure is what matters; what is left holds no volume and is in nobody's way.
        let _ = url.remove();
    }
    made
}

fn make_in(url: &MetaUrl, settings: &VolumeSettings, limits: Limits, trash_days: u32) -> Outcome<()> {
    let kv = url.create()?;
    let owner = (geteuid().as_raw(), getegid().as_raw());
    let made = Metadata::format_with(kv.as_ref(), settings, limits, trash_days, owner, clock::now());
    made.map_err(|error| match error {
        MetaError::Refused(Errno::EEXIST) => {
            Failure::new(Exit::InUse, url, "somebody else has just made a volume here", "name another META-URL")
        }
        error => Failure::of_metadata(url, &error),
    })?;
    kv.close().map_err(|error| Failure::of_store(url, &error))
}
