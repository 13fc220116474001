//! A folder of its own for each test, with everything the program would keep for a user inside, and the real binary.

// Each test binary uses its own part of it.
#![allow(dead_code)]

use shoal_kv::{Attempt, Direction, Durability, KeyRange, Kv, Transaction, Verdict};
use shoal_kv_sqlite::SqliteKv;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub const SHOAL: &str = env!("CARGO_BIN_EXE_shoal");

pub struct Sandbox {
    folder: TempDir,
    mounts: Vec<PathBuf>,
}

impl Sandbox {
    pub fn new() -> Self {
        Sandbox { folder: tempfile::tempdir().unwrap(), mounts: Vec::new() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    pub fn folder(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    pub fn url(&self, name: &str) -> String {
        format!("sqlite://{}", self.path(name).display())
    }

    /// A mount point that is unmounted at the end whatever happens.
    pub fn mount_point(&mut self, name: &str) -> PathBuf {
        let path = self.path(name);
        // It may be a dead mount, which can't be looked at and is there all the same.
        if !self.mounts.contains(&path) {
            std::fs::create_dir_all(&path).unwrap();
        }
        self.mounts.push(path.clone());
        path
    }

    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.folder("home"));
        for (variable, name) in [
            ("XDG_DATA_HOME", "data"),
            ("XDG_CACHE_HOME", "cache"),
            ("XDG_STATE_HOME", "state"),
            ("XDG_RUNTIME_DIR", "runtime"),
        ] {
            command.env(variable, self.folder(name));
        }
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    pub fn shoal(&self, arguments: &[&str]) -> Output {
        self.command(SHOAL).args(arguments).output().unwrap()
    }

    /// Runs to success; what it printed on standard output.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.shoal(arguments);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "shoal {arguments:?}: {:?}\n{out}\n{err}\n{}", output.status, self.logs());
        out
    }

    /// Runs to this exit code; what it printed on standard output and on standard error.
    pub fn ends(&self, arguments: &[&str], code: i32) -> (String, String) {
        let output = self.shoal(arguments);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "shoal {arguments:?}:\n{out}\n{err}\n{}", self.logs());
        (out, err)
    }

    /// What a command prints with `--json`.
    pub fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let out = self.ok(&[arguments, &["--json"]].concat());
        serde_json::from_str(&out).unwrap()
    }

    /// The process that serves the volume's only mount.
    pub fn daemon(&self, url: &str) -> u32 {
        let status = self.json(&["status", url]);
        let sessions = status["sessions"].as_array().unwrap();
        assert_eq!(sessions.len(), 1, "{status}");
        sessions[0]["pid"].as_u64().unwrap().try_into().unwrap()
    }

    /// The process that serves this mount.
    pub fn daemon_of(&self, point: &Path) -> u32 {
        let status = self.json(&["status", point.to_str().unwrap()]);
        let sessions = status["sessions"].as_array().unwrap().iter();
        let mut alive = sessions.filter(|session| session["state"] == "alive");
        alive.find(|session| session["mount_point"] == *point.to_str().unwrap()).unwrap()["pid"].as_u64().unwrap()
            as u32
    }

    /// Changes records of a volume that nobody has mounted, below all operations.
    pub fn change(&self, url: &str, change: impl Fn(&mut dyn Transaction) + Send + 'static) {
        let kv: Arc<dyn Kv> = SqliteKv::open(Path::new(url.strip_prefix("sqlite://").unwrap()), false).unwrap();
        let body = move |transaction: &mut dyn Transaction, _: Attempt| {
            change(transaction);
            Ok(((), Verdict::Commit))
        };
        kv.transact(Durability::Visible, body).unwrap();
        kv.close().unwrap();
    }

    /// Everything that the metadata of an unmounted volume holds.
    pub fn records(&self, url: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
        let kv = SqliteKv::open(Path::new(url.strip_prefix("sqlite://").unwrap()), false).unwrap();
        let mut found = Vec::new();
        kv.read(&mut |reader| {
            found = reader.scan(&KeyRange { start: vec![0], end: vec![0xff] }, usize::MAX, Direction::Forward)?;
            Ok(())
        })
        .unwrap();
        kv.close().unwrap();
        found
    }

    /// Files of the store that are objects.
    pub fn objects(&self, folder: &str) -> Vec<PathBuf> {
        let (mut found, mut folders) = (Vec::new(), vec![self.path(folder)]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().flatten() {
                match entry.file_type().unwrap().is_dir() {
                    true => folders.push(entry.path()),
                    false if entry.file_name() == "volume" => {}
                    false => found.push(entry.path()),
                }
            }
        }
        found.sort();
        found
    }

    pub fn format(&self, name: &str) -> String {
        let url = self.url(name);
        self.ok(&["format", &url, "test"]);
        url
    }

    /// Its cache takes what it's given, however full the disk of the machine is, unless the options say otherwise.
    pub fn mount(&mut self, url: &str, name: &str, options: &[&str]) -> PathBuf {
        let point = self.mount_point(name);
        let mut arguments = vec!["mount", url, point.to_str().unwrap()];
        if !options.contains(&"--cache-free-ratio") {
            arguments.extend(["--cache-free-ratio", "0"]);
        }
        arguments.extend(options);
        self.ok(&arguments);
        point
    }

    pub fn umount(&self, point: &Path) {
        self.ok(&["umount", point.to_str().unwrap()]);
    }

    /// Fails with this code, in one line that holds these words and a cure.
    pub fn refused(&self, arguments: &[&str], code: i32, words: &[&str]) -> String {
        refusal(arguments, &self.shoal(arguments), code, words)
    }

    /// The logs of all daemons, for the message of a test that failed.
    pub fn logs(&self) -> String {
        let Ok(folder) = std::fs::read_dir(self.path("state/shoal")) else { return String::new() };
        folder.flatten().filter_map(|entry| std::fs::read_to_string(entry.path()).ok()).collect()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        for point in &self.mounts {
            // Already unmounted in a test that went well; that's the only way this fails.
            let _ = Command::new(SHOAL).args(["umount", "--lazy"]).arg(point).output();
        }
    }
}

pub fn refusal(arguments: &[&str], output: &Output, code: i32, words: &[&str]) -> String {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "shoal {arguments:?}: {said}");
    assert_eq!(said.lines().count(), 1, "one line of: {said}");
    assert!(said.starts_with("shoal: ") && said.contains("; "), "a name and a cure in: {said}");
    for word in words {
        assert!(said.contains(word), "{word} in: {said}");
    }
    assert_eq!(text(&output.stdout), "");
    said
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Mounts of the script's own disappear with its last process.
pub fn in_namespace(sandbox: &Sandbox, script: &str, variables: &[(&str, &str)]) {
    let mut command = sandbox.command("unshare");
    command.args(["-m", "sh", "-c", script]).env("shoal", SHOAL).envs(variables.iter().copied());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}{}{}", text(&output.stdout), text(&output.stderr), sandbox.logs());
}

/// Sends a signal by its name and waits until the process has ended.
pub fn kill(pid: u32, signal: &str) {
    let status = Command::new("kill").args(["-s", signal, &pid.to_string()]).status().unwrap();
    assert!(status.success());
    await_end(pid);
}

/// A daemon has been given to init, so it can't be waited for by name; `tail --pid` ends when it has.
pub fn await_end(pid: u32) {
    let status = Command::new("timeout").args(["60", "tail", "-f", "/dev/null", "--pid"]).arg(pid.to_string()).status();
    assert!(status.unwrap().success(), "process {pid} has not ended within a minute");
}

/// Bytes that look like nothing else.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Waits for a state, not for a time.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(600);
    while !condition() {
        assert!(Instant::now() < deadline, "still waiting until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
