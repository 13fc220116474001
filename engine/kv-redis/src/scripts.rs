//! The scripts that run on the server, and how they are called.

use crate::error;
use redis::{Cmd, Connection, ErrorKind, ServerErrorKind, Value};
use shoal_kv_remote::Failure;

#[derive(Clone, Copy)]
pub(crate) enum Script {
    Read,
    Commit,
    CloseSlot,
    TakeSnapshot,
    ReadSnapshot,
    EndSnapshot,
}

/// The names under which a server has the scripts: their digests.
pub(crate) struct Scripts {
    digests: [String; 6],
}

/// In the order of `Script`.
const TEXTS: [&str; 6] = [
    concat!(include_str!("scripts/common.lua"), include_str!("scripts/read.lua")),
    concat!(include_str!("scripts/common.lua"), include_str!("scripts/commit.lua")),
    include_str!("scripts/close_slot.lua"),
    include_str!("scripts/take_snapshot.lua"),
    include_str!("scripts/read_snapshot.lua"),
    include_str!("scripts/end_snapshot.lua"),
];

impl Scripts {
    pub fn load(connection: &mut Connection) -> Result<Self, Failure> {
        let mut load = redis::pipe();
        for text in TEXTS {
            load.cmd("SCRIPT").arg("LOAD").arg(text);
        }
        let digests: Vec<String> = load.query(connection).map_err(error::translate)?;
        let digests = digests.try_into().map_err(|_| error::unexpected("not a digest for each script"))?;
        Ok(Scripts { digests })
    }

    /// The beginning of a call; the arguments follow.
    pub fn call(&self, script: Script, keys: &[&str]) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command.arg(&self.digests[script as usize]).arg(keys.len()).arg(keys);
        command
    }
}

/// Runs a call, loading the scripts again where the server has forgotten them: it did nothing then.
pub(crate) fn run(connection: &mut Connection, command: &Cmd) -> Result<Value, Failure> {
    match command.query::<Value>(connection) {
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
            Scripts::load(connection)?;
            command.query(connection).map_err(error::translate)
        }
        result => result.map_err(error::translate),
    }
}
