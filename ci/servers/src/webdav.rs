//! WebDAV as lighttpd serves it, with a password.

use crate::program::{Program, any_http_answer, find};
use std::path::Path;
use std::process::Command;

#[derive(Clone, Copy, Default)]
pub struct Webdav;

impl Webdav {
    pub const USER: &str = "me";
    pub const PASSWORD: &str = "quiet as the sea";

    /// No other one opens it from now on: lighttpd reads it anew for each request.
    pub fn set_password(folder: &Path, password: &str) {
        let (users, new) = (folder.join("users"), folder.join("users.new"));
        let written = std::fs::write(&new, format!("{}:{password}\n", Self::USER));
        written.and_then(|()| std::fs::rename(new, users)).expect("the folder can be written to");
    }
}

impl Program for Webdav {
    fn prepare(&self, folder: &Path) {
        for name in ["data", "uploads"] {
            std::fs::create_dir(folder.join(name)).expect("the folder can be written to");
        }
        Self::set_password(folder, Self::PASSWORD);
    }

    fn command(&self, folder: &Path, port: u16) -> Command {
        let configuration = folder.join("lighttpd.conf");
        let text = format!(
            r#"
            server.modules = ("mod_auth", "mod_authn_file", "mod_webdav")
            server.bind = "127.0.0.1"
            server.port = {port}
            server.document-root = "{folder}/data"
            server.upload-dirs = ("{folder}/uploads")
            server.max-keep-alive-requests = 100000
            webdav.activate = "enable"
            auth.backend = "plain"
            auth.backend.plain.userfile = "{folder}/users"
            auth.require = ("/" => ("method" => "basic", "realm" => "test", "require" => "valid-user"))
            "#,
            folder = folder.display()
        );
        std::fs::write(&configuration, text).expect("the folder can be written to");
        let mut command = Command::new(find(&["lighttpd"], "lighttpd"));
        command.arg("-D").arg("-f").arg(configuration);
        command
    }

    fn probe(&self, _: &Path, port: u16) -> Command {
        any_http_answer(port)
    }

    fn url(&self, port: u16, prefix: &str) -> String {
        format!("webdav+http://127.0.0.1:{port}/{prefix}?username={}", Self::USER)
    }
}
