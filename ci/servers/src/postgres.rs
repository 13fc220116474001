//! PostgreSQL, as the user `postgres` where the test runs as root, which it refuses.

use crate::program::{Program, find, run};
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Default)]
pub struct Postgres;

const PACKAGE: &str = "postgresql";
const ACCOUNT: &str = "postgres";

impl Program for Postgres {
    fn prepare(&self, folder: &Path) {
        if is_root() {
            run(Command::new("chown").arg(ACCOUNT).arg(folder));
        }
        let mut initdb = as_account(program("initdb"));
        initdb.args(["--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-locale", "--pgdata"]);
        run(initdb.arg(folder.join("data")).current_dir(folder));
    }

    fn command(&self, folder: &Path, port: u16) -> Command {
        let mut command = as_account(program("postgres"));
        command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-c", "max_connections=300"]);
        command.arg("-k").arg(folder).arg("-D").arg(folder.join("data"));
        command
    }

    fn probe(&self, _: &Path, port: u16) -> Command {
        let mut command = Command::new(program("pg_isready"));
        command.args(["-h", "127.0.0.1", "-p", &port.to_string()]);
        command
    }

    fn url(&self, port: u16, prefix: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{port}/postgres?prefix={prefix}")
    }
}

/// Debian keeps the programs of each version in a folder of its own.
fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = versions.map(|version| version.path().join("bin").join(name)).collect();
    found.retain(|path| path.is_file());
    found.sort();
    found.pop().unwrap_or_else(|| find(&[name], PACKAGE))
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn as_account(program: PathBuf) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={ACCOUNT}"), format!("--regid={ACCOUNT}"), "--clear-groups".into()]).arg(program);
    command
}
