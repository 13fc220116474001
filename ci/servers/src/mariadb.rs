//! MariaDB, with one database and a user for it.

use crate::program::{Program, find, run};
use std::path::Path;
use std::process::Command;

#[derive(Default)]
pub struct Mariadb;

/// A server that starts removes the temporary tables it finds, those of others too where they share a folder.
const TEMPORARIES: &str = "tmp";
const PACKAGE: &str = "mariadb-server";
const CLIENT_PACKAGE: &str = "mariadb-client";

impl Program for Mariadb {
    fn prepare(&self, folder: &Path) {
        let (data, temporaries) = (folder.join("data"), folder.join(TEMPORARIES));
        std::fs::create_dir(&temporaries).expect("the folder can be written to");
        let mut install = Command::new(find(&["mariadb-install-db", "mysql_install_db"], PACKAGE));
        install.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
        run(install.arg(format!("--datadir={}", data.display())).args(account()).env("TMPDIR", temporaries));
        // Read at each start.
        let statements = "CREATE DATABASE IF NOT EXISTS shoal;\n\
             CREATE USER IF NOT EXISTS 'shoal'@'127.0.0.1' IDENTIFIED BY 'right';\n\
             GRANT ALL ON shoal.* TO 'shoal'@'127.0.0.1';\n";
        std::fs::write(folder.join("init.sql"), statements).expect("the folder can be written to");
    }

    fn command(&self, folder: &Path, port: u16) -> Command {
        let mut command = Command::new(find(&["mariadbd", "mysqld"], PACKAGE));
        command.arg("--no-defaults").args(account()).args(["--bind-address=127.0.0.1", "--skip-log-bin"]);
        command.args(["--skip-name-resolve", "--max-connections=300"]);
        let data = [("datadir", "data"), ("tmpdir", TEMPORARIES), ("init-file", "init.sql")];
        for (option, file) in data.into_iter().chain([("socket", "s.sock"), ("pid-file", "pid")]) {
            command.arg(format!("--{option}={}", folder.join(file).display()));
        }
        command.arg(format!("--port={port}"));
        command
    }

    fn probe(&self, _: &Path, port: u16) -> Command {
        let mut command = Command::new(find(&["mariadb", "mysql"], CLIENT_PACKAGE));
        command.args(["--no-defaults", "--host=127.0.0.1", "--user=shoal", "--password=right"]);
        command.args([format!("--port={port}"), "--execute=SELECT 1".into(), "shoal".into()]);
        command
    }

    fn url(&self, port: u16, prefix: &str) -> String {
        format!("mysql://shoal:right@127.0.0.1:{port}/shoal?prefix={prefix}")
    }
}

/// As root it refuses to run unless told that root is meant.
fn account() -> Option<&'static str> {
    rustix::process::geteuid().is_root().then_some("--user=root")
}
