//! How the way to a server is protected: options of its address, the same for all engines.
//!
//! `tls=on` (or a scheme that says so) asks for TLS; a server without it is refused then, and so is one whose certificate is
//! not for its host or of no trusted authority. `ca=FILE` names the authority, otherwise those of the system count;
//! `cert=FILE&key=FILE` is who we are. All files are PEM, with full paths: a daemon works in `/`.

use crate::address::{Address, AddressError};
use shoal_kv::KvError;
use std::fs;
use std::path::{Path, PathBuf};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tls {
    pub ca: Option<PathBuf>,
    /// Certificate and key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl Tls {
    pub const OPTIONS: [&'static str; 4] = ["tls", "ca", "cert", "key"];

    /// For every library below us that does not choose one by itself.
    pub fn install_cryptography() {
        // Where somebody was first there is one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }

    pub fn read(path: &Path) -> Result<Vec<u8>, KvError> {
        fs::read(path).map_err(|error| KvError::Permission(format!("reading {}: {error}", path.display())))
    }
}

impl Address {
    /// `None`: not protected. `by_scheme`: the scheme asks for it already.
    pub fn tls(&self, by_scheme: bool) -> Result<Option<Tls>, AddressError> {
        let wrong = |why: &str| Err(AddressError(why.into()));
        let wanted = match self.option("tls") {
            None => by_scheme,
            Some("on") => true,
            Some("off") if !by_scheme => false,
            Some(_) => return wrong("tls is on or off, and on with a scheme that says so"),
        };
        let file = |name: &str| match self.option(name).map(PathBuf::from) {
            Some(path) if !path.is_absolute() => Err(AddressError(format!("{name} is the full path of a file"))),
            path => Ok(path),
        };
        let (ca, certificate, key) = (file("ca")?, file("cert")?, file("key")?);
        if !wanted && (ca.is_some() || certificate.is_some() || key.is_some()) {
            return wrong("ca, cert and key are for TLS, which is not asked for: add tls=on, or write rediss://");
        }
        let identity = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return wrong("cert and key go together"),
        };
        Ok(wanted.then_some(Tls { ca, identity }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protection_is_asked_for_and_never_half() {
        let tls = |options: &str, by_scheme| format!("x://h?{options}").parse::<Address>().unwrap().tls(by_scheme);
        assert_eq!(tls("", false), Ok(None));
        assert_eq!(tls("tls=off", false), Ok(None));
        let plain = Tls { ca: None, identity: None };
        assert_eq!(tls("", true), Ok(Some(plain.clone())));
        assert_eq!(tls("tls=on", false), Ok(Some(plain)));
        let full = Tls { ca: Some("/a".into()), identity: Some(("/b".into(), "/c".into())) };
        assert_eq!(tls("tls=on&ca=/a&cert=/b&key=/c", false), Ok(Some(full)));
        for (options, by_scheme) in [
            ("ca=/a", false),
            ("tls=off&ca=/a", false),
            ("tls=off", true),
            ("tls=maybe", false),
            ("cert=/b", true),
            ("ca=a", true),
        ] {
            assert!(tls(options, by_scheme).is_err(), "{options}");
        }
    }
}
