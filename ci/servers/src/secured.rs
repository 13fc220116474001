//! The servers with TLS alone, for clients with a certificate alone.

use crate::authority::Authority;
use crate::program::{Program, run};
use crate::{Mariadb, Postgres, Redis, Tikv};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// A server whose certificate this authority has signed.
pub struct Secured<P> {
    pub program: P,
    pub authority: Arc<Authority>,
}

impl<P> Secured<P> {
    pub fn new(program: P, authority: &Arc<Authority>) -> Self {
        Secured { program, authority: authority.clone() }
    }

    fn file(&self, name: &str) -> String {
        self.authority.certificate(name).display().to_string()
    }

    fn key(&self, name: &str) -> String {
        self.authority.key(name).display().to_string()
    }
}

impl Program for Secured<Redis> {
    fn prepare(&self, folder: &Path) {
        self.program.prepare(folder);
    }

    fn command(&self, folder: &Path, port: u16) -> Command {
        let mut command = self.program.command(folder, port);
        command.args(["--port", "0", "--tls-port", &port.to_string(), "--tls-auth-clients", "yes"]);
        command.args(["--tls-cert-file", &self.file("server"), "--tls-key-file", &self.key("server")]);
        command.args(["--tls-ca-cert-file", &self.file("ca")]);
        command
    }

    fn probe(&self, folder: &Path, port: u16) -> Command {
        let plain = self.program.probe(folder, port);
        let mut command = Command::new(plain.get_program());
        command.args(["--tls", "--cacert", &self.file("ca")]);
        command.args(["--cert", &self.file("client"), "--key", &self.key("client")]).args(plain.get_args());
        command
    }

    /// Without whom to trust.
    fn url(&self, port: u16, prefix: &str) -> String {
        self.program.url(port, prefix).replace("redis://", "rediss://")
    }
}

impl Program for Secured<Postgres> {
    fn prepare(&self, folder: &Path) {
        self.program.prepare(folder);
        let key = folder.join("server.key");
        std::fs::copy(self.authority.key("server"), &key).expect("the folder can be written to");
        let rules = folder.join("data/pg_hba.conf");
        std::fs::write(&rules, "hostssl all all 127.0.0.1/32 trust clientcert=verify-ca\n").expect("as above");
        let like = format!("--reference={}", folder.join("data/PG_VERSION").display());
        run(Command::new("chown").arg(like).args([&key, &rules]));
        run(Command::new("chmod").arg("600").arg(&key));
        // The authority's folder is for its owner alone, and the server is another user.
        for name in ["ca", "server"] {
            std::fs::copy(self.authority.certificate(name), own(folder, name)).expect("as above");
        }
    }

    fn command(&self, folder: &Path, port: u16) -> Command {
        let mut command = self.program.command(folder, port);
        let files = [("cert", own(folder, "server")), ("key", folder.join("server.key")), ("ca", own(folder, "ca"))];
        command.args(["-c", "ssl=on"]);
        for (name, path) in files {
            command.args(["-c", &format!("ssl_{name}_file={}", path.display())]);
        }
        command
    }

    fn probe(&self, folder: &Path, port: u16) -> Command {
        self.program.probe(folder, port)
    }

    fn url(&self, port: u16, prefix: &str) -> String {
        format!("{}&tls=on", self.program.url(port, prefix))
    }
}

fn own(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.pem"))
}

impl Program for Secured<Mariadb> {
    fn prepare(&self, folder: &Path) {
        self.program.prepare(folder);
        let path = folder.join("init.sql");
        let statements = std::fs::read_to_string(&path).expect("it has just been written");
        let require = "ALTER USER 'shoal'@'127.0.0.1' REQUIRE X509;\n";
        std::fs::write(&path, statements + require).expect("the folder can be written to");
    }

    fn command(&self, folder: &Path, port: u16) -> Command {
        let mut command = self.program.command(folder, port);
        command.arg("--require-secure-transport=ON");
        command.args([format!("--ssl-cert={}", self.file("server")), format!("--ssl-key={}", self.key("server"))]);
        command.arg(format!("--ssl-ca={}", self.file("ca")));
        command
    }

    fn probe(&self, folder: &Path, port: u16) -> Command {
        let mut command = self.program.probe(folder, port);
        command.args([format!("--ssl-cert={}", self.file("client")), format!("--ssl-key={}", self.key("client"))]);
        command.arg(format!("--ssl-ca={}", self.file("ca")));
        command
    }

    fn url(&self, port: u16, prefix: &str) -> String {
        format!("{}&tls=on", self.program.url(port, prefix))
    }
}

impl Program for Secured<Tikv> {
    fn prepare(&self, folder: &Path) {
        self.program.prepare(folder);
    }

    fn command(&self, folder: &Path, port: u16) -> Command {
        let mut command = self.program.command(folder, port);
        command.args(["-ca", &self.file("ca"), "-cert", &self.file("server"), "-key", &self.key("server")]);
        command
    }

    fn probe(&self, folder: &Path, port: u16) -> Command {
        let mut command = self.program.probe(folder, port);
        command.args(["-ca", &self.file("ca"), "-cert", &self.file("client"), "-key", &self.key("client")]);
        command
    }

    fn url(&self, port: u16, prefix: &str) -> String {
        format!("{}&tls=on", self.program.url(port, prefix))
    }
}
