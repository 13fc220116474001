//! Redis, with a log as the test wants it.

use crate::program::{Program, find};
use std::path::Path;
use std::process::Command;

pub struct Redis {
    pub log: RedisLog,
    pub password: Option<&'static str>,
}

/// When changes reach the disk.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum RedisLog {
    Never,
    EverySecond,
    Always,
}

impl Default for Redis {
    fn default() -> Self {
        Redis { log: RedisLog::Always, password: None }
    }
}

impl Program for Redis {
    fn prepare(&self, _: &Path) {}

    fn command(&self, folder: &Path, port: u16) -> Command {
        let mut command = Command::new(find(&["redis-server"], "redis-server"));
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--dir"]).arg(folder);
        command.args(match self.log {
            RedisLog::Never => ["--appendonly", "no", "--appendfsync", "no"],
            RedisLog::EverySecond => ["--appendonly", "yes", "--appendfsync", "everysec"],
            RedisLog::Always => ["--appendonly", "yes", "--appendfsync", "always"],
        });
        if let Some(password) = self.password {
            command.args(["--requirepass", password]);
        }
        command
    }

    fn probe(&self, _: &Path, port: u16) -> Command {
        let mut command = Command::new(find(&["redis-cli"], "redis-tools"));
        // `-e`: an error is a failure, such as that it is still loading.
        command.args(["-e", "-p", &port.to_string()]);
        if let Some(password) = self.password {
            command.args(["--no-auth-warning", "-a", password]);
        }
        command.arg("ping");
        command
    }

    fn url(&self, port: u16, prefix: &str) -> String {
        let login = self.password.map(|password| format!(":{password}@")).unwrap_or_default();
        format!("redis://{login}127.0.0.1:{port}/0?prefix={prefix}")
    }
}
