//! What opens a volume's object store: from the environment, or sealed in the metadata of an encrypted volume.
//!
//! Each secret option has a variable of its own, `SHOAL_STORAGE_` and its name; or `SHOAL_STORAGE_CREDENTIALS_FILE` names a
//! file with lines `name = value`. What is in neither is left to the service's own chain. A secret is never an argument,
//! never in a URL, and never in metadata in the clear.

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::places;
use crate::volume::Opened;
use shoal_encryption::{NonceBase, VolumeSealer};
use shoal_kv::Kv;
use shoal_metadata::Metadata;
use shoal_object_store::Secrets;
use shoal_object_store::services::Service;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

const FILE: &str = "SHOAL_STORAGE_CREDENTIALS_FILE";
/// What the sealed text is for. Stored for ever.
const PURPOSE: &[u8] = b"storage secrets";

/// Where the secrets of a store are found. What is there may change: see [`Source::may_change`].
#[derive(Clone)]
pub struct Source {
    service: &'static Service,
    /// What the environment names, wherever this process may go.
    file: Option<PathBuf>,
    /// Where they may be sealed.
    volume: Option<Volume>,
}

#[derive(Clone)]
struct Volume {
    name: String,
    kv: Arc<dyn Kv>,
    sealer: Option<VolumeSealer>,
}

impl Source {
    pub fn environment(service: &'static Service) -> Outcome<Self> {
        let file = std::env::var_os(FILE).map(|path| places::absolute(Path::new(&path))).transpose()?;
        Ok(Source { service, file, volume: None })
    }

    /// What the environment says wins over what is sealed.
    pub fn volume(opened: &Opened, service: &'static Service) -> Outcome<Self> {
        let Opened { kv, settings, sealer, .. } = opened;
        let volume = Volume { name: settings.name.clone(), kv: kv.clone(), sealer: sealer.clone() };
        Ok(Source { volume: Some(volume), ..Self::environment(service)? })
    }

    pub fn read(&self) -> Outcome<Secrets> {
        let given = match &self.file {
            Some(path) => self.read_file(path)?,
            None => Secrets::from_variables(self.service, |variable| std::env::var(variable).ok()),
        };
        match &self.volume {
            Some(volume) if given.is_empty() => Ok(volume.read(self.service)?.unwrap_or(given)),
            _ => Ok(given),
        }
    }

    /// Whether it may say something else while this process lives; variables of the environment don't.
    pub fn may_change(&self) -> bool {
        let sealed = self.volume.as_ref().is_some_and(|volume| volume.sealer.is_some());
        self.file.is_some()
            || sealed && Secrets::from_variables(self.service, |variable| std::env::var(variable).ok()).is_empty()
    }

    fn read_file(&self, path: &Path) -> Outcome<Secrets> {
        let text = std::fs::read_to_string(path).map(Zeroizing::new);
        let text = text.map_err(|error| Failure::of_io(path, "reading the credentials of the object store", &error))?;
        Secrets::parse(self.service, &text).map_err(|error| {
            Failure::new(Exit::Usage, path.display(), error, "see docs/storage.md for what it may hold")
        })
    }
}

impl Volume {
    fn read(&self, service: &'static Service) -> Outcome<Option<Secrets>> {
        let sealed = Metadata::storage_secrets(self.kv.as_ref());
        let sealed = sealed.map_err(|error| Failure::of_metadata(&self.name, &error))?;
        match (sealed, &self.sealer) {
            (None, _) => Ok(None),
            (Some(sealed), Some(sealer)) => open(sealer, sealed, service).map(Some),
            (Some(_), None) => Err(Failure::new(
                Exit::Permission,
                format_args!("the volume {}", self.name),
                "the credentials of its object store are sealed with its key",
                format_args!(
                    "set them in the environment for this command: {FILE}, or the variables of shoal storages"
                ),
            )),
        }
    }
}

/// For `--seal-credentials`: what the environment has said, for the metadata of a volume with this key.
pub fn sealed(secrets: &Secrets, sealer: Option<&VolumeSealer>) -> Outcome<Vec<u8>> {
    let refuse = |why: &str, cure: &str| Err(Failure::usage(format_args!("--seal-credentials: {why}; {cure}")));
    match (sealer, secrets.is_empty()) {
        (None, _) => refuse(
            "only an encrypted volume has a key to seal them with",
            "give --encrypt at format, or leave them in the environment of every mount",
        ),
        (Some(_), true) => refuse("the environment says nothing of them", "see docs/storage.md for its variables"),
        (Some(sealer), false) => Ok(seal(sealer, secrets)),
    }
}

fn seal(sealer: &VolumeSealer, secrets: &Secrets) -> Vec<u8> {
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
