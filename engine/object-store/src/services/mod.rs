//! The kinds of storage that this build has: how the URL of each is written, which options it takes, how it is opened.
//!
//! A row is all there is to a kind: refusals, help and `shoal storages` are made of it. Options have the names that opendal
//! gives them, where they are opendal's.

#[cfg(feature = "full")]
mod full;
mod light;
mod s3;

use crate::opendal_store::{OpendalStore, Writes};
use crate::transport::transport;
use crate::{FsStore, ObjectStore, Secrets, StorageUrl, StoreError, StoreResult, secrets};
use opendal::{Builder, Configurator, OperationContext, Operator};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

pub struct Service {
    pub scheme: &'static str,
    /// For people.
    pub title: &'static str,
    /// What stands between `://` and the options.
    pub form: &'static str,
    /// Nothing can be put there.
    pub read_only: bool,
    own_options: &'static [StorageOption],
    way: Way,
}

pub struct StorageOption {
    pub name: &'static str,
    pub kind: OptionKind,
    pub help: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OptionKind {
    Text,
    /// `true` or `false`.
    Flag,
    /// Never in a URL.
    Secret,
}

/// How it is reached.
enum Way {
    /// A put path of our own: decision 0005.
    Folder,
    /// Gone with the process.
    Memory,
    Http(Remote),
    /// By a protocol or a program of its own.
    Other(Remote),
}

/// A service of opendal's.
struct Remote {
    /// The option that the URL's authority is the value of, and what stands before it there.
    place: (&'static str, &'static str),
    /// Shows no half object while it is written. Elsewhere objects are written under another name and renamed.
    puts_are_atomic: bool,
    build: fn(Config) -> StoreResult<Operator>,
}

/// Options with their values, as opendal takes them.
type Config = BTreeMap<String, String>;

const fn text(name: &'static str, help: &'static str) -> StorageOption {
    StorageOption { name, kind: OptionKind::Text, help }
}

const fn flag(name: &'static str, help: &'static str) -> StorageOption {
    StorageOption { name, kind: OptionKind::Flag, help }
}

const fn secret(name: &'static str, help: &'static str) -> StorageOption {
    StorageOption { name, kind: OptionKind::Secret, help }
}

const CA: &str = "ca";
const CLIENT_CERTIFICATE: &str = "client_certificate";
const CONDITIONAL_WRITES: &str = "conditional_writes";

/// Of whatever speaks HTTP.
static HTTP_OPTIONS: &[StorageOption] = &[
    text(CA, "file with the certificates (PEM) to trust instead of the system's"),
    text(CLIENT_CERTIFICATE, "file with a certificate and its key (PEM) to show to the server"),
    flag(
        CONDITIONAL_WRITES,
        "false for servers that ignore If-None-Match: it is looked before each put [default: true]",
    ),
];

#[cfg(not(feature = "full"))]
static TABLES: &[&[Service]] = &[light::SERVICES];
#[cfg(feature = "full")]
static TABLES: &[&[Service]] = &[light::SERVICES, full::SERVICES];

/// All of this build.
pub fn all() -> impl Iterator<Item = &'static Service> {
    TABLES.iter().flat_map(|table| table.iter())
}

pub fn find(scheme: &str) -> Option<&'static Service> {
    all().find(|service| service.scheme == scheme)
}

/// Whether this build has them all.
pub fn is_full() -> bool {
    cfg!(feature = "full")
}

pub(crate) fn schemes() -> String {
    let schemes: Vec<String> = all().map(|service| format!("{}://", service.scheme)).collect();
    schemes.join(", ")
}

/// Opens what the URL names. A local folder is made if it is missing; nothing else is touched.
pub fn open(url: &StorageUrl, secrets: &Secrets) -> StoreResult<Arc<dyn ObjectStore>> {
    let (remote, speaks_http) = match &url.service().way {
        Way::Folder => {
            let folder = url.folder().expect("the URL of a folder has one");
            return Ok(Arc::new(FsStore::open(folder)?));
        }
        Way::Memory => return Ok(Arc::new(OpendalStore::memory()?)),
        Way::Http(remote) => (remote, true),
        Way::Other(remote) => (remote, false),
    };
    let failed = |error: StoreError| url.refuse(secrets.scrub(error.to_string()));
    let mut operator = (remote.build)(config(url, secrets, remote)).map_err(failed)?;
    if speaks_http {
        let path = |name| url.option(name).map(Path::new);
        let transport = transport(path(CA), path(CLIENT_CERTIFICATE)).map_err(failed)?;
        operator = operator.with_context(OperationContext::default().with_http_transport(transport));
    }
    let writes = match (remote.puts_are_atomic, url.flag(CONDITIONAL_WRITES)) {
        (false, _) => Writes::Renamed,
        (true, Some(false)) => Writes::LookedFor,
        (true, _) => Writes::Conditional,
    };
    Ok(Arc::new(OpendalStore::new(operator).with_writes(writes).hiding(secrets.clone())))
}

fn config(url: &StorageUrl, secrets: &Secrets, remote: &Remote) -> Config {
    let (name, prefix) = remote.place;
    let place = (name.to_string(), format!("{prefix}{}", url.authority()));
    let root = ("root".to_string(), format!("/{}", url.path()));
    let ours = |name: &str| HTTP_OPTIONS.iter().any(|option| option.name == name);
    let options = url.options().filter(|(name, _)| !ours(name)).chain(secrets.iter());
    let options = options.map(|(name, value)| (name.to_string(), value.to_string()));
    [place, root].into_iter().chain(options).collect()
}

fn build<B: Builder>(config: Config) -> StoreResult<Operator> {
    let made = B::Config::from_iter(config).and_then(|config| Operator::new(config.into_builder()));
    made.map_err(|error| StoreError::Other(error.to_string()))
}

impl Service {
    pub fn options(&self) -> impl Iterator<Item = &'static StorageOption> {
        let shared = matches!(self.way, Way::Http(_)).then_some(HTTP_OPTIONS).unwrap_or_default();
        self.own_options.iter().chain(shared)
    }

    pub fn option(&self, name: &str) -> Option<&'static StorageOption> {
        self.options().find(|option| option.name == name)
    }

    pub fn is_folder(&self) -> bool {
        matches!(self.way, Way::Folder)
    }

    /// Nothing that is put there outlives the process.
    pub fn is_volatile(&self) -> bool {
        matches!(self.way, Way::Memory)
    }

    pub fn example(&self) -> String {
        format!("{}://{}", self.scheme, self.form)
    }

    pub(crate) fn where_secrets_go(&self) -> String {
        let secrets = self.options().filter(|option| option.kind == OptionKind::Secret);
        let variables: Vec<String> = secrets.map(|option| secrets::variable(option.name)).collect();
        match variables.is_empty() {
            true => "it needs none".into(),
            false => format!("set it in the environment: {}", variables.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_kind_has_a_name_of_its_own_and_options_without_doubles() {
        let mut schemes = HashSet::new();
        for service in all() {
            assert!(schemes.insert(service.scheme), "{}", service.scheme);
            let mut names = HashSet::new();
            assert!(service.options().all(|option| names.insert(option.name)), "{}", service.scheme);
        }
        assert_eq!(is_full(), schemes.contains("gcs"));
    }

    #[test]
    fn every_kind_opens_by_its_example_or_tells_what_it_lacks() {
        for service in all().filter(|service| !service.is_folder()) {
            let example = service.example().replace("[:PORT]", "").replace(['[', ']'], "").replace("USER@", "me@");
            let url = StorageUrl::parse(&example.to_ascii_lowercase()).unwrap();
            let secrets = Secrets::from_variables(service, |_| Some("c2VjcmV0".into()));
            if let Err(error) = open(&url, &secrets) {
                let told = error.to_string();
                assert!(told.contains(&url.to_string()) && !told.contains("c2VjcmV0"), "{told}");
            }
        }
    }

    #[test]
    fn a_ca_that_is_none_is_refused_by_its_name() {
        for content in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            let ca = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(ca.path(), content).unwrap();
            let url = format!("s3://bucket?region=x&ca={}", ca.path().display());
            let refused = open(&StorageUrl::parse(&url).unwrap(), &Secrets::default()).err().map(|e| e.to_string());
            assert!(refused.as_ref().is_some_and(|told| told.contains(&url)), "{content:?}: {refused:?}");
        }
    }
}
