//! What a storage URL says: `SCHEME://AUTHORITY/PATH?OPTION=VALUE&…`, with `%XX` for what would be misread.
//!
//! A URL is stored in metadata and shown in status, logs and errors as it is. So it never holds a secret: options that
//! are secrets are refused here, and the refusal quotes nothing of them. They come as [`crate::Secrets`].

use crate::StoreError;
use crate::services::{self, OptionKind, Service, StorageOption};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use thiserror::Error;

/// Why a text is no storage URL of this build, and what would be.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{0}")]
pub struct UrlError(String);

#[derive(Clone)]
pub struct StorageUrl {
    text: String,
    service: &'static Service,
    authority: String,
    path: String,
    options: BTreeMap<&'static str, String>,
}

impl StorageUrl {
    /// Refuses what this build does not know, by its name and with what would do. Touches nothing.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let Some((scheme, rest)) = text.split_once("://") else {
            let cure = match text.starts_with('/') {
                true => format!("write file://{text}"),
                false => format!("write one of {}", services::schemes()),
            };
            return Err(UrlError(format!("{text}: this is no storage URL; {cure}")));
        };
        let refuse = |why: String| UrlError(format!("{scheme}://…: {why}"));
        let Some(service) = services::find(scheme) else {
            let known = services::schemes();
            return Err(refuse(format!("this build knows no storage of the kind '{scheme}'; it knows {known}")));
        };
        // A folder's name may hold any of these signs.
        if service.is_folder() {
            return Self::of_folder(service, text, rest);
        }
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = place.split_once('/').unwrap_or((place, ""));
        if authority.contains(':') && authority.contains('@') {
            return Err(refuse(format!("a password has no place in it; {}", service.where_secrets_go())));
        }
        if authority.is_empty() && !service.form.is_empty() {
            return Err(refuse(format!("it does not say where; write {}", service.example())));
        }
        let mut options = BTreeMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let option = known_option(service, name).map_err(&refuse)?;
            let value = decoded(value).ok_or_else(|| refuse(format!("{name}: this is no text in UTF-8")))?;
            check_value(option, &value).map_err(&refuse)?;
            if options.insert(option.name, value).is_some() {
                return Err(refuse(format!("{name}: it is there twice")));
            }
        }
        let path = decoded(path).ok_or_else(|| refuse("its path is no text in UTF-8".into()))?;
        let path = path.trim_matches('/').to_string();
        Ok(StorageUrl { text: text.into(), service, authority: authority.into(), path, options })
    }

    fn of_folder(service: &'static Service, text: &str, path: &str) -> Result<Self, UrlError> {
        if !path.starts_with('/') || path.len() < 2 || path.contains('\0') {
            let why =
                "the path of the folder must be a full one; write file:///FOLDER, for example file:///srv/objects";
            return Err(UrlError(format!("{text}: {why}")));
        }
        let (authority, options) = (String::new(), BTreeMap::new());
        Ok(StorageUrl { text: text.into(), service, authority, path: path.into(), options })
    }

    pub fn service(&self) -> &'static Service {
        self.service
    }

    /// Of a local folder, its full path.
    pub fn folder(&self) -> Option<&Path> {
        self.service.is_folder().then(|| Path::new(&self.path))
    }

    /// Between `://` and the next slash: a bucket, or a host.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Without slashes around it.
    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    /// An option that is either on or off.
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.option(name).map(|value| value == "true")
    }

    pub fn options(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.options.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// The refusal of something about this URL.
    pub(crate) fn refuse(&self, why: impl fmt::Display) -> StoreError {
        StoreError::Other(format!("{self}: {why}"))
    }
}

fn known_option(service: &'static Service, name: &str) -> Result<&'static StorageOption, String> {
    match service.option(name) {
        Some(option) if option.kind == OptionKind::Secret => {
            Err(format!("{name} is a secret and has no place in a URL; {}", service.where_secrets_go()))
        }
        Some(option) => Ok(option),
        None => {
            let known: Vec<&str> = service
                .options()
                .filter(|option| option.kind != OptionKind::Secret)
                .map(|option| option.name)
                .collect();
            Err(format!("it has no option '{name}'; it has {}", known.join(", ")))
        }
    }
}

/// Whether a connection is encrypted is never left to a guess.
fn check_value(option: &StorageOption, value: &str) -> Result<(), String> {
    let StorageOption { name, kind, .. } = option;
    match value {
        "" => Err(format!("{name}: it has no value")),
        "true" | "false" if *kind == OptionKind::Flag => Ok(()),
        _ if *kind == OptionKind::Flag => Err(format!("{name}: write true or false")),
        _ if *name == "endpoint" && !value.starts_with("https://") && !value.starts_with("http://") => {
            Err(format!("{name}: write https://HOST, or http://HOST for a connection in the clear"))
        }
        _ => Ok(()),
    }
}

/// `None` for what is no UTF-8 or breaks off in the middle.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}

impl fmt::Display for StorageUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for StorageUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        StorageUrl::parse(text).err().unwrap().to_string()
    }

    #[test]
    fn a_url_says_where_and_how() {
        let url = StorageUrl::parse("s3://bucket/a%20b/c/?endpoint=http://127.0.0.1:9000&path_style=true").unwrap();
        assert_eq!((url.authority(), url.path()), ("bucket", "a b/c"));
        assert_eq!(url.option("endpoint"), Some("http://127.0.0.1:9000"));
        assert_eq!((url.flag("path_style"), url.flag("anonymous")), (Some(true), None));
        assert_eq!(url.folder(), None);
        let folder = StorageUrl::parse("file:///srv/a b?c%20").unwrap();
        assert_eq!(folder.folder(), Some(Path::new("/srv/a b?c%20")));
    }

    #[test]
    fn secrets_are_refused_and_never_quoted() {
        for text in [
            "s3://key:hush@bucket",
            "s3://bucket?secret_access_key=hush",
            "webdav://me:hush@host/path",
            "webdav://host/path?password=hush",
            "nosuch://key:hush@bucket",
        ] {
            assert!(!refusal(text).contains("hush"), "{}", refusal(text));
        }
        assert!(refusal("s3://bucket?secret_access_key=hush").contains("SHOAL_STORAGE_SECRET_ACCESS_KEY"));
    }

    #[test]
    fn what_a_url_does_not_say_well_is_told_with_what_would_do() {
        for (text, told) in [
            ("", "file"),
            ("file", "file"),
            ("/srv/objects", "write file:///srv/objects"),
            ("file://srv", "full one"),
            ("file:///", "full one"),
            ("nosuch://x", "'nosuch'"),
            ("s3://", "s3://BUCKET"),
            ("s3://bucket?regoin=x", "region"),
            ("s3://bucket?region=", "no value"),
            ("s3://bucket?region=a&region=b", "twice"),
            ("s3://bucket?endpoint=minio:9000", "https://HOST"),
            ("s3://bucket?anonymous=yes", "true or false"),
            ("s3://bucket/%e", "UTF-8"),
        ] {
            assert!(refusal(text).contains(told), "{text}: {}", refusal(text));
        }
    }
}
