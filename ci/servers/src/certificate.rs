//! A certificate authority of one test's own, and a certificate for the loopback that it has signed.

use crate::program::{find, run};
use std::path::{Path, PathBuf};
use std::process::Command;

/// In the folder: `ca.pem` to trust, `server.pem` and `server.key` for the server.
pub(crate) fn make(folder: &Path) {
    let openssl = |arguments: &[&str]| {
        let mut command = Command::new(find(&["openssl"], "openssl"));
        run(command.args(arguments).current_dir(folder));
    };
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let authority =
        ["req", "-x509", "-days", "2", "-subj", "/CN=test authority", "-keyout", "ca.key", "-out", "ca.pem"];
    openssl(&[&authority[..], &key].concat());
    let request = ["req", "-subj", "/CN=127.0.0.1", "-keyout", "server.key", "-out", "server.csr"];
    openssl(&[&request[..], &key].concat());
    std::fs::write(folder.join("extensions"), "subjectAltName=IP:127.0.0.1\n").expect("the folder can be written to");
    let signed = ["x509", "-req", "-days", "2", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key"];
    openssl(&[&signed[..], &["-CAcreateserial", "-extfile", "extensions", "-out", "server.pem"]].concat());
}

pub(crate) fn authority(folder: &Path) -> PathBuf {
    folder.join("ca.pem")
}
