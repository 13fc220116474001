//! Which volume a storage folder belongs to: the file `<volume uuid>/volume` in it says so, and no second volume may use
//! the folder.
//!
//! Laid before a volume is made and withdrawn after it is destroyed. A claim without a volume holds no objects; the next
//! format on the same META-URL takes it away.

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::meta_url::MetaUrl;
use serde::{Deserialize, Serialize};
use shoal_types::VolumeSettings;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What people see who look into the folder.
#[derive(Serialize, Deserialize)]
pub struct Claim {
    pub volume: String,
    uuid: String,
    pub metadata: String,
}

impl Claim {
    pub fn of(settings: &VolumeSettings, url: &MetaUrl) -> Self {
        Claim { volume: settings.name.clone(), uuid: settings.uuid.clone(), metadata: url.shown() }
    }

    pub fn parse(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }

    pub fn to_text(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("a claim is made of plain text")
    }
}

const FILE: &str = "volume";
const OBJECTS: &str = "objects";
/// What a disk's own file system puts into its root.
const TOLERATED: &str = "lost+found";

pub fn lay(folder: &Path, settings: &VolumeSettings, url: &MetaUrl) -> Outcome<()> {
    let failed = |error| Failure::of_io(folder, "making it the volume's storage", &error);
    // Objects hold the bytes of everybody's files.
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    refuse_others(folder, url)?;
    put(&file_of(folder, &settings.uuid), &Claim::of(settings, url).to_text()).map_err(failed)
}

/// Every other name in the folder means that somebody uses it.
fn refuse_others(folder: &Path, url: &MetaUrl) -> Outcome<()> {
    let failed = |error| Failure::of_io(folder, "looking into it", &error);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if name == TOLERATED {
            continue;
        }
        let why = match read(&folder.join(&name).join(FILE)) {
            Some(claim) if claim.metadata == url.shown() && !folder.join(&name).join(OBJECTS).exists() => {
                remove(&folder.join(&name).join(FILE)).map_err(failed)?;
                continue;
            }
            Some(claim) => format!("it holds the objects of the volume {} ({})", claim.volume, claim.metadata),
            None => format!("it is in use: it holds {}", Path::new(&name).display()),
        };
        let cure = "name an empty folder with --storage, or one that does not exist yet";
        return Err(Failure::new(Exit::InUse, folder.display(), why, cure));
    }
    Ok(())
}

pub fn check(folder: &Path, settings: &VolumeSettings) -> Outcome<()> {
    let path = file_of(folder, &settings.uuid);
    match fs::metadata(&path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Failure::new(
            Exit::NotFound,
            folder.display(),
            format_args!("the objects of the volume {} are not here: {} is missing", settings.name, path.display()),
            "mount the disk they are on, or put the folder back from a backup",
        )),
        Err(error) => Err(Failure::of_io(&path, "looking for the volume's objects", &error)),
    }
}

pub fn withdraw(folder: &Path, settings: &VolumeSettings) -> Outcome<()> {
    let path = file_of(folder, &settings.uuid);
    match remove(&path) {
        Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Err(Failure::of_io(&path, "removing the mark of the volume", &error))
        }
        _ => Ok(()),
    }
}

fn file_of(folder: &Path, uuid: &str) -> PathBuf {
    folder.join(uuid).join(FILE)
}

fn read(path: &Path) -> Option<Claim> {
    Claim::parse(&fs::read(path).ok()?)
}

/// On the disk when it returns: the file, and the names that lead to it.
fn put(path: &Path, text: &[u8]) -> io::Result<()> {
    let own = path.parent().expect("a claim lies in a folder");
    DirBuilder::new().recursive(true).mode(0o700).create(own)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text)?;
    file.sync_all()?;
    own.ancestors().take(3).try_for_each(|folder| File::open(folder)?.sync_all())
}

/// With the folder it lies in, if that is empty then.
fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)?;
    match path.parent().map(fs::remove_dir) {
        Some(Err(error)) if error.kind() != io::ErrorKind::DirectoryNotEmpty => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(uuid: &str) -> VolumeSettings {
        VolumeSettings {
            schema: shoal_types::SCHEMA_VERSION,
            name: "photos".into(),
            uuid: uuid.into(),
            storage: String::new(),
            block_bytes: 1 << 20,
            inline_bytes_max: 0,
            staging: Default::default(),
            delete_grace_seconds: 0,
            compression: shoal_types::Compression::None,
            cipher: None,
            also_encrypted: Default::default(),
        }
    }

    #[test]
    fn a_folder_belongs_to_one_volume_until_its_claim_is_withdrawn() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a/b");
        let (here, elsewhere): (MetaUrl, MetaUrl) =
            ("sqlite:///srv/a.db".parse().unwrap(), "sqlite:///srv/b.db".parse().unwrap());
        assert_eq!(check(&folder, &settings("1")).unwrap_err().exit, Exit::NotFound);
        lay(&folder, &settings("1"), &here).unwrap();
        check(&folder, &settings("1")).unwrap();
        let refusal = lay(&folder, &settings("2"), &elsewhere).unwrap_err();
        assert!(
            refusal.exit == Exit::InUse && refusal.to_string().contains("photos (sqlite:///srv/a.db)"),
            "{refusal}"
        );
        // What an interrupted format left: nothing but the claim, for the same place.
        lay(&folder, &settings("2"), &here).unwrap();
        assert!(check(&folder, &settings("1")).is_err());
        fs::create_dir(folder.join("2/objects")).unwrap();
        assert_eq!(lay(&folder, &settings("3"), &here).unwrap_err().exit, Exit::InUse);
        fs::remove_dir(folder.join("2/objects")).unwrap();
        withdraw(&folder, &settings("2")).unwrap();
        withdraw(&folder, &settings("2")).unwrap();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    }

    #[test]
    fn files_of_others_keep_a_volume_out_and_those_of_the_disk_do_not() {
        let root = tempfile::tempdir().unwrap();
        let url: MetaUrl = "sqlite:///srv/a.db".parse().unwrap();
        fs::create_dir(root.path().join("lost+found")).unwrap();
        fs::write(root.path().join("letter"), b"").unwrap();
        let refusal = lay(root.path(), &settings("1"), &url).unwrap_err();
        assert!(refusal.to_string().contains("letter"), "{refusal}");
        fs::remove_file(root.path().join("letter")).unwrap();
        lay(root.path(), &settings("1"), &url).unwrap();
    }
}
