//! A certificate authority of one test's own, and a certificate for the loopback that it has signed.

use crate::program::{find, run};
use std::path::{Path, PathBuf};
use std::process::Command;

/// In the folder: `ca.pem` to trust, `server.pem` and `server.key` for the server.
pub(crate) fn make(folder: &Path) {
    let authority =
        ["req", "-x509", "-days", "2", "-subj", "/CN=test authority", "-keyout", "ca.key", "-out", "ca.pem"];
    openssl(folder, &[&authority[..], &NEW_KEY].concat());
    sign(folder, "server");
}

/// `NAME.pem` and `NAME.key`, signed by the authority that is there.
pub(crate) fn sign(folder: &Path, name: &str) {
    let [key, request, signed] = ["key", "csr", "pem"].map(|kind| format!("{name}.{kind}"));
    let ask = ["req", "-subj", "/CN=127.0.0.1", "-keyout", &key, "-out", &request];
    openssl(folder, &[&ask[..], &NEW_KEY].concat());
    std::fs::write(folder.join("extensions"), "subjectAltName=IP:127.0.0.1\n").expect("the folder can be written to");
    let sign = ["x509", "-req", "-days", "2", "-in", &request, "-CA", "ca.pem", "-CAkey", "ca.key"];
    openssl(folder, &[&sign[..], &["-CAcreateserial", "-extfile", "extensions", "-out", &signed]].concat());
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let mut command = Command::new(find(&["openssl"], "openssl"));
    run(command.args(arguments).current_dir(folder));
}

pub(crate) fn authority(folder: &Path) -> PathBuf {
    folder.join("ca.pem")
}

const NEW_KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
