//! A certificate authority for tests, with a server on 127.0.0.1 and one client.

use crate::certificate;
use std::path::PathBuf;
use tempfile::TempDir;

/// Its files are gone with it.
pub struct Authority {
    folder: TempDir,
}

impl Default for Authority {
    fn default() -> Self {
        let folder = tempfile::Builder::new().prefix("shoal-authority-").tempdir().expect("a folder can be made");
        certificate::make(folder.path());
        certificate::sign(folder.path(), "client");
        Authority { folder }
    }
}

impl Authority {
    /// Of `ca`, `server` or `client`.
    pub fn certificate(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.pem"))
    }

    pub fn key(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.key"))
    }

    /// Options of a META-URL: whom to trust, and who one is.
    pub fn options(&self) -> String {
        format!("{}&{}", self.trust(), self.identity())
    }

    pub fn trust(&self) -> String {
        format!("ca={}", self.certificate("ca").display())
    }

    pub fn identity(&self) -> String {
        format!("cert={}&key={}", self.certificate("client").display(), self.key("client").display())
    }
}
