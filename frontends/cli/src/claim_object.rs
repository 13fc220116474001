//! Which volume a bucket, or the part of it below a prefix, belongs to: the object `<volume uuid>/volume` in it says so,
//! and no second volume may use it.
//!
//! As `claim.rs` has it for a folder: laid before a volume is made and withdrawn after it is destroyed. A claim without
//! objects beside it holds nothing; the next format on the same META-URL takes it away.

use crate::claim::Claim;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::meta_url::MetaUrl;
use crate::storage::Objects;
use bytes::Bytes;
use shoal_object_store::StoreError;
use shoal_types::VolumeSettings;

const NAME: &str = "volume";
/// More claims than this are nobody's interrupted formats.
const CLAIMS_MAX: usize = 100;

pub fn lay(objects: &Objects, settings: &VolumeSettings, url: &MetaUrl) -> Outcome<()> {
    refuse_others(objects, url)?;
    let claim = Claim::of(settings, url).to_text();
    objects.put(&key_of(&settings.uuid), Bytes::from(claim)).map_err(|error| Failure::of_objects(&objects.url, &error))
}

/// Whatever is there means that somebody uses it.
fn refuse_others(objects: &Objects, url: &MetaUrl) -> Outcome<()> {
    let failed = |error: &StoreError| Failure::of_objects(&objects.url, error);
    let (mut claims, mut stranger) = (Vec::new(), None);
    let listed = objects.list_keys("", |object| {
        let is_claim = object.key.strip_suffix(NAME).and_then(|rest| rest.strip_suffix('/')).is_some();
        if is_claim && object.key.matches('/').count() == 1 && claims.len() < CLAIMS_MAX {
            claims.push(object.key);
            return Ok(());
        }
        // One is enough: what follows may be millions.
        stranger = Some(object.key.clone());
        Err(StoreError::Other(object.key))
    });
    let refuse = |why: String| {
        let cure = "name another bucket with --storage, or a prefix in it that nobody uses: …/PREFIX";
        Err(Failure::new(Exit::InUse, &objects.url, why, cure))
    };
    let mut stale = Vec::new();
    for key in claims {
        match objects.get_whole(&key).map(|text| Claim::parse(&text)) {
            Ok(Some(claim)) if claim.metadata == url.shown() => stale.push(key),
            Ok(Some(claim)) => {
                return refuse(format!("it belongs to the volume {} ({})", claim.volume, claim.metadata));
            }
            Ok(None) => return refuse(format!("it is in use: it holds {key}")),
            Err(error) => return Err(failed(&error)),
        }
    }
    match (stranger, listed) {
        (Some(key), _) => return refuse(format!("it is in use: it holds {key}")),
        (None, Err(error)) => return Err(failed(&error)),
        (None, Ok(())) => {}
    }
    objects.delete(&stale, || {})
}

pub fn check(objects: &Objects, settings: &VolumeSettings) -> Outcome<()> {
    match objects.get_whole(&key_of(&settings.uuid)) {
        Ok(_) => Ok(()),
        Err(StoreError::NotFound(key)) => Err(Failure::new(
            Exit::NotFound,
            &objects.url,
            format_args!("the objects of the volume {} are not here: {key} is missing", settings.name),
            "check the bucket and the endpoint; shoal status tells where they were at format",
        )),
        Err(error) => Err(Failure::of_objects(&objects.url, &error)),
    }
}

pub fn withdraw(objects: &Objects, settings: &VolumeSettings) -> Outcome<()> {
    objects.delete(&[key_of(&settings.uuid)], || {})
}

fn key_of(uuid: &str) -> String {
    format!("{uuid}/{NAME}")
}
