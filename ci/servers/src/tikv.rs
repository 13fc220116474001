//! TiKV: a cluster that somebody has, named by `SHOAL_TIKV_PD`; else TiKV's protocol on its mock store (`ci/servers/tikv`, built
//! by ci/install). The mock is one process without Raft: it proves what we ask and what we make of the answers, and nothing
//! about TiKV's own speed, fail-over or durability.

use crate::program::Program;
use crate::suites::find_built;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// The mock.
#[derive(Default)]
pub struct Tikv {
    /// Regions are split and change their leaders all the time.
    pub unrest: bool,
}

impl Tikv {
    /// The URL of an empty volume on a real cluster, if there is one.
    pub fn real_url(prefix: &str) -> Option<String> {
        let members = std::env::var("SHOAL_TIKV_PD").ok().filter(|members| !members.is_empty())?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_nanos();
        Some(format!("tikv://{members}?prefix={prefix}-{now:x}"))
    }
}

impl Program for Tikv {
    fn prepare(&self, _: &Path) {}

    fn command(&self, folder: &Path, port: u16) -> Command {
        let mut command = Command::new(find_built("shoal-tikv-mock"));
        command.arg(format!("-listen=127.0.0.1:{port}")).arg(format!("-data={}", folder.join("data").display()));
        if self.unrest {
            command.arg("-unrest=20ms");
        }
        command
    }

    fn probe(&self, _: &Path, port: u16) -> Command {
        let mut command = Command::new(find_built("shoal-tikv-mock"));
        command.arg(format!("-ask=127.0.0.1:{port}"));
        command
    }

    fn url(&self, port: u16, prefix: &str) -> String {
        format!("tikv://127.0.0.1:{port}?prefix={prefix}")
    }
}
