//! What opens a volume's object store: from the environment, or sealed in the metadata of an encrypted volume.
//!
//! Each secret option has a variable of its own, `SHOAL_STORAGE_` and its name; or `SHOAL_STORAGE_CREDENTIALS_FILE` names a
//! file with lines `name = value`. What is in neither is left to the service's own chain. A secret is never an argument,
//! never in a URL, and never in metadata in the clear.

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::volume::Opened;
use shoal_encryption::{NonceBase, VolumeSealer};
use shoal_metadata::Metadata;
use shoal_object_store::Secrets;
use shoal_object_store::services::Service;
use std::path::Path;
use zeroize::Zeroizing;

const FILE: &str = "SHOAL_STORAGE_CREDENTIALS_FILE";
/// What the sealed text is for. Stored for ever.
const PURPOSE: &[u8] = b"storage secrets";

pub fn of_environment(service: &'static Service) -> Outcome<Secrets> {
    let Some(path) = std::env::var_os(FILE) else {
        return Ok(Secrets::from_variables(service, |variable| std::env::var(variable).ok()));
    };
    let path = Path::new(&path);
    let text = std::fs::read_to_string(path).map(Zeroizing::new);
    let text = text.map_err(|error| Failure::of_io(path, "reading the credentials of the object store", &error))?;
    Secrets::parse(service, &text)
        .map_err(|error| Failure::new(Exit::Usage, path.display(), error, "see docs/storage.md for what it may hold"))
}

/// What the environment says wins over what is sealed.
pub fn of_volume(opened: &Opened, service: &'static Service) -> Outcome<Secrets> {
    let given = of_environment(service)?;
    if !given.is_empty() {
        return Ok(given);
    }
    let sealed = Metadata::storage_secrets(opened.kv.as_ref())
        .map_err(|error| Failure::of_metadata(&opened.settings.name, &error))?;
    match (sealed, &opened.sealer) {
        (None, _) => Ok(given),
        (Some(sealed), Some(sealer)) => open(sealer, sealed, service),
        (Some(_), None) => Err(Failure::new(
            Exit::Permission,
            format_args!("the volume {}", opened.settings.name),
            "the credentials of its object store are sealed with its key",
            format_args!("set them in the environment for this command: {FILE}, or the variables of shoal storages"),
        )),
    }
}

pub fn seal(sealer: &VolumeSealer, secrets: &Secrets) -> Vec<u8> {
    let mut sealed = Vec::new();
    sealer.values().seal(NonceBase::random(), 0, PURPOSE, &[secrets.to_text().as_bytes()], &mut sealed);
    sealed
}

fn open(sealer: &VolumeSealer, sealed: Vec<u8>, service: &'static Service) -> Outcome<Secrets> {
    let mut sealed = Zeroizing::new(sealed);
    let text = sealer.values().open(PURPOSE, &mut sealed).and_then(|plain| std::str::from_utf8(plain).ok());
    text.and_then(|text| Secrets::parse(service, text).ok()).ok_or_else(|| {
        Failure::new(
            Exit::Damaged,
            "the sealed credentials of the object store",
            "they are not what the volume's key has sealed",
            "give them in the environment",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_encryption::VolumeKey;
    use shoal_object_store::services;
    use shoal_types::Cipher;

    #[test]
    fn what_is_sealed_opens_with_the_volumes_key_alone() {
        let s3 = services::find("s3").unwrap();
        let secrets = Secrets::parse(s3, "access_key_id = me\nsecret_access_key = hush").unwrap();
        let sealer =
            |volume: &str| VolumeSealer::new(Cipher::Aes256Gcm, &VolumeKey::from_bytes(&[7; 32]).unwrap(), volume);
        let sealed = seal(&sealer("a"), &secrets);
        assert!(!sealed.windows(4).any(|window| window == b"hush"));
        assert_eq!(open(&sealer("a"), sealed.clone(), s3).unwrap(), secrets);
        assert_eq!(open(&sealer("b"), sealed, s3).unwrap_err().exit, Exit::Damaged);
    }
}
