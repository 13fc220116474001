//! S3 as `s3s-fs` serves it from a folder. It checks signatures, and survives being killed.

use crate::program::{Program, any_http_answer};
use crate::suites::find_built;
use std::path::Path;
use std::process::Command;

#[derive(Clone, Copy, Default)]
pub struct S3s;

impl S3s {
    pub const ACCESS_KEY_ID: &str = "reader-and-writer";
    pub const SECRET_ACCESS_KEY: &str = "quiet as the sea";
}

impl Program for S3s {
    fn prepare(&self, folder: &Path) {
        std::fs::create_dir_all(folder.join("data/bucket")).expect("the folder can be written to");
    }

    fn command(&self, folder: &Path, port: u16) -> Command {
        let mut command = Command::new(find_built("s3s-fs"));
        command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
        command.args(["--access-key", Self::ACCESS_KEY_ID, "--secret-key", Self::SECRET_ACCESS_KEY]);
        command.arg(folder.join("data"));
        command
    }

    fn probe(&self, _: &Path, port: u16) -> Command {
        any_http_answer(port)
    }

    fn url(&self, port: u16, prefix: &str) -> String {
        format!("s3://bucket/{prefix}?endpoint=http://127.0.0.1:{port}")
    }
}
