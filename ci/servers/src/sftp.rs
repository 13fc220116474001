//! SFTP as OpenSSH serves it to this very user, with keys of its own.
//!
//! A client finds its key and the server's in the configuration that [`Sftp::client_path`] brings into its PATH: a program
//! `ssh` that passes everything on to the real one. Nothing of this user's own configuration is touched.

use crate::program::{Program, find, run};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

#[derive(Clone, Copy, Default)]
pub struct Sftp;

const PACKAGE: &str = "openssh-server";
/// What the server is called in the list of known hosts, whatever its port.
const ALIAS: &str = "shoal-test";

impl Sftp {
    /// The PATH of a client of the server that keeps its files in this folder.
    pub fn client_path(folder: &Path) -> OsString {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = [folder.join("bin")].into_iter().chain(std::env::split_paths(&path));
        std::env::join_paths(folders).expect("folders of a PATH make a PATH")
    }
}

impl Program for Sftp {
    fn prepare(&self, folder: &Path) {
        for name in ["host_key", "client_key"] {
            let mut keygen = Command::new(find(&["ssh-keygen"], "openssh-client"));
            run(keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(folder.join(name)));
        }
        fs::create_dir(folder.join("data")).expect("the folder can be written to");
        fs::copy(folder.join("client_key.pub"), folder.join("authorized_keys")).expect("a key can be copied");
        let host_key = fs::read_to_string(folder.join("host_key.pub")).expect("a key was made");
        fs::write(folder.join("known_hosts"), format!("{ALIAS} {host_key}")).expect("the folder can be written to");
        let ssh = find(&["ssh"], "openssh-client");
        let wrapper = format!(
            "#!/bin/sh\nexec {} -F none -o HostKeyAlias={ALIAS} -o UserKnownHostsFile={folder}/known_hosts \
             -o IdentityFile={folder}/client_key \"$@\"\n",
            ssh.display(),
            folder = folder.display()
        );
        fs::create_dir(folder.join("bin")).expect("the folder can be written to");
        fs::write(folder.join("bin/ssh"), wrapper).expect("the folder can be written to");
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(folder.join("bin/ssh"), executable).expect("a file of ours can be made executable");
        if rustix::process::geteuid().is_root() {
            // Where a server that root has started separates its privileges.
            fs::create_dir_all("/run/sshd").expect("root can make a folder");
        }
    }

    fn command(&self, folder: &Path, port: u16) -> Command {
        let text = format!(
            "ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder}/host_key\nPidFile none\nUsePAM no\n\
             AuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\nPasswordAuthentication no\n\
             PermitRootLogin yes\nMaxStartups 200\nMaxSessions 200\nSubsystem sftp internal-sftp\n",
            folder = folder.display()
        );
        fs::write(folder.join("sshd_config"), text).expect("the folder can be written to");
        let mut command = Command::new(find(&["sshd"], PACKAGE));
        command.arg("-D").arg("-e").arg("-f").arg(folder.join("sshd_config"));
        command
    }

    fn probe(&self, folder: &Path, port: u16) -> Command {
        let mut command = Command::new(folder.join("bin/ssh"));
        command.args(["-o", "BatchMode=yes", "-p", &port.to_string(), "127.0.0.1", "true"]);
        command
    }

    /// `prefix` is a full path, without the slash before it.
    fn url(&self, port: u16, prefix: &str) -> String {
        format!("sftp://127.0.0.1:{port}/{prefix}")
    }
}
