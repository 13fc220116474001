//! S3 as `moto` plays it, in memory: gone with the process. It believes every signature.

use crate::certificate;
use crate::program::Program;
use crate::suites::find_built;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Clone, Copy, Default)]
pub struct Moto {
    /// By https, with a certificate that only [`Moto::authority`] vouches for.
    pub tls: bool,
}

/// Makes the bucket, which is as good as an answer. Whose certificate it is does not matter here.
const PROBE: &str = "\
import ssl, sys, urllib.request
context = ssl._create_unverified_context() if sys.argv[1].startswith('https') else None
urllib.request.urlopen(urllib.request.Request(sys.argv[1] + '/bucket', method='PUT'), context=context)";

impl Moto {
    /// The certificate to trust, of a server with TLS that keeps its files in this folder.
    pub fn authority(folder: &Path) -> PathBuf {
        certificate::authority(folder)
    }

    fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }
}

impl Program for Moto {
    fn prepare(&self, folder: &Path) {
        if self.tls {
            certificate::make(folder);
        }
    }

    fn command(&self, folder: &Path, port: u16) -> Command {
        let mut command = Command::new(find_built("moto_server"));
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        if self.tls {
            command.arg("-c").arg(folder.join("server.pem")).arg("-k").arg(folder.join("server.key"));
        }
        command
    }

    fn probe(&self, _: &Path, port: u16) -> Command {
        let mut command = Command::new("/usr/bin/python3");
        command.args(["-c", PROBE, &format!("{}://127.0.0.1:{port}", self.scheme())]);
        command
    }

    fn url(&self, port: u16, prefix: &str) -> String {
        format!("s3://bucket/{prefix}?endpoint={}://127.0.0.1:{port}", self.scheme())
    }
}
