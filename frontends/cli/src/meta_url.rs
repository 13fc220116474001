//! META-URL: which metadata engine holds a volume, and where. The only place that knows engines by name.

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::server_url::ServerUrl;
use rustix::fs::{Access, access};
use serde::{Deserialize, Serialize};
use shoal_kv::Kv;
use shoal_kv_sqlite::SqliteKv;
use std::fmt;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum MetaUrl {
    /// `sqlite:///FILE`; the path is absolute and taken as it is, without escapes.
    Sqlite(PathBuf),
    /// `redis://…`, `postgres://…`, `mysql://…`, `fdb://…`, `tikv://…`
    Server(ServerUrl),
}

const SUPPORTED: &str = "sqlite:///FILE, redis://HOST/DB, postgres://USER@HOST/DB, mysql://USER@HOST/DB, \
     fdb:///CLUSTER-FILE, tikv://PD,PD/NAME";
const SQLITE: &str = "sqlite:///FILE";

impl MetaUrl {
    pub fn open(&self) -> Outcome<Arc<dyn Kv>> {
        let path = match self {
            MetaUrl::Sqlite(path) => path,
            MetaUrl::Server(server) => return server.open(false)?.ok_or_else(|| self.no_volume()),
        };
        match path.metadata() {
            // An empty file is what a format that was interrupted at its very beginning leaves behind.
            Ok(metadata) if metadata.is_file() && metadata.len() == 0 => return Err(self.no_volume()),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(self.no_volume()),
            Err(error) => return Err(Failure::of_io(path, "looking for the volume", &error)),
        }
        let kv = SqliteKv::open(path, false).map_err(|error| Failure::of_store(self, &error))?;
        Ok(kv)
    }

    pub fn no_volume(&self) -> Failure {
        let cure = format!("make one first: shoal format {self} NAME");
        Failure::new(Exit::NotFound, self, "there is no volume here", cure)
    }

    /// The folder a new database goes into must be there, and this user must be able to write to it.
    pub fn check_folder(&self) -> Outcome<()> {
        let MetaUrl::Sqlite(path) = self else { return Ok(()) };
        let folder = path.parent().unwrap_or(Path::new("/"));
        if !folder.is_dir() {
            let why = format!("there is no folder {}", folder.display());
            return Err(Failure::new(
                Exit::NotFound,
                self,
                why,
                format_args!("create it: mkdir -p {}", folder.display()),
            ));
        }
        access(folder, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK).map_err(|error| {
            let why = format!("this user cannot make files in {} ({})", folder.display(), std::io::Error::from(error));
            Failure::new(Exit::Permission, self, why, "run as a user who may, or name another folder")
        })
    }

    /// Nothing of a database is there yet, and all that will be is ours to remove. Never so on a server.
    pub fn is_absent(&self) -> bool {
        let MetaUrl::Sqlite(path) = self else { return false };
        std::fs::symlink_metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
    }

    /// Also makes the database where there is none, for its owner's eyes only: it holds names and small files.
    pub fn create(&self) -> Outcome<Arc<dyn Kv>> {
        let path = match self {
            MetaUrl::Sqlite(path) => path,
            MetaUrl::Server(server) => return server.open(true)?.ok_or_else(|| self.no_volume()),
        };
        self.check_folder()?;
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Failure::of_io(path, "making the database", &error)),
        }
        let kv = SqliteKv::open(path, true).map_err(|error| Failure::of_store(self, &error))?;
        Ok(kv)
    }

    /// Removes the database that holds the volume, with the files beside it; on a server, what belongs to the volume.
    /// Nobody may have it open.
    pub fn remove(&self) -> Outcome<()> {
        let path = match self {
            MetaUrl::Sqlite(path) => path,
            MetaUrl::Server(server) => return server.remove(),
        };
        for suffix in ["", "-wal", "-shm", "-epoch"] {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            match std::fs::remove_file(&name) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(Failure::of_io(Path::new(&name), "removing the database", &error)),
            }
        }
        Ok(())
    }

    /// Where `format` puts objects unless told otherwise: a folder beside the database, where there is a beside.
    pub fn default_storage(&self) -> Option<PathBuf> {
        match self {
            MetaUrl::Sqlite(path) => Some(path.with_extension("objects")),
            MetaUrl::Server(_) => None,
        }
    }

    /// What keeps the engine, as it is set up now, from fsync's promise, if anything.
    pub fn durability_warning(&self) -> Outcome<Option<String>> {
        match self {
            MetaUrl::Sqlite(_) => Ok(None),
            MetaUrl::Server(server) => server.durability_warning(),
        }
    }

    /// What people and scripts may see: never a password.
    pub fn shown(&self) -> String {
        self.to_string()
    }

    pub fn looks_like_one(text: &str) -> bool {
        text.contains("://")
    }
}

impl fmt::Display for MetaUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MetaUrl::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            MetaUrl::Server(server) => write!(f, "{server}"),
        }
    }
}

impl FromStr for MetaUrl {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let Some((scheme, rest)) = text.split_once("://") else {
            let cure = match text.starts_with('/') {
                true => format!("write sqlite://{text}"),
                false => format!("write {SQLITE} with the full path of the database file"),
            };
            return Err(Failure::usage(format_args!("{text}: this is no META-URL; {cure}")));
        };
        match scheme {
            "sqlite" => sqlite(text, rest),
            _ if ServerUrl::knows(scheme) => ServerUrl::parse(text).map(MetaUrl::Server),
            _ => Err(Failure::usage(format_args!(
                // The rest may hold a password.
                "{scheme}://…: metadata of the kind '{scheme}' is not supported by this build; it knows {SUPPORTED}"
            ))),
        }
    }
}

fn sqlite(text: &str, path: &str) -> Result<MetaUrl, Failure> {
    let usable = path.starts_with('/') && !path.ends_with('/') && !path.contains('\0');
    match usable {
        true => Ok(MetaUrl::Sqlite(path.into())),
        false => Err(Failure::usage(format_args!(
            "{text}: the path of a database file must be a full one; write {SQLITE}, for example sqlite:///srv/volume.db"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_path_is_taken_as_it_is() {
        let url: MetaUrl = "sqlite:///srv/a b%20.db".parse().unwrap();
        assert_eq!(url, MetaUrl::Sqlite("/srv/a b%20.db".into()));
        assert_eq!(url.to_string(), "sqlite:///srv/a b%20.db");
        assert_eq!(url.default_storage(), Some(PathBuf::from("/srv/a b%20.objects")));
    }

    #[test]
    fn every_refusal_has_a_cure_and_no_password() {
        let refusal = |text: &str| text.parse::<MetaUrl>().unwrap_err().to_string();
        assert!(refusal("/srv/x.db").contains("write sqlite:///srv/x.db"));
        assert!(refusal("x.db").contains("sqlite:///FILE"));
        assert!(refusal("sqlite://x.db").contains("full one"));
        assert!(refusal("sqlite:///").contains("full one"));
        let other = refusal("etcd://user:secret@host/0");
        assert!(other.contains("etcd") && other.contains("sqlite:///FILE") && !other.contains("secret"), "{other}");
    }
}
