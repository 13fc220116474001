//! The null file system on a real mount: the protocol crate, the transport, the session loop and mounting, end to end.
//!
//! Needs `/dev/fuse`, and either root or `fusermount3`.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

struct Server {
    process: Child,
    mount_point: PathBuf,
}

impl Server {
    fn start(mount_point: &Path) -> Server {
        Server::start_with_shards(mount_point, "2")
    }

    fn start_with_shards(mount_point: &Path, shards: &str) -> Server {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shoal-null"));
        command.arg(mount_point).args(["--foreground", "--shards", shards]).stdout(Stdio::piped());
        let mut process = command.spawn().expect("started");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        assert!(line.starts_with("mounted on "), "it says when it is ready: {line:?}");
        Server { process, mount_point: mount_point.to_owned() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.mount_point.join(name)
    }

    fn terminate(mut self) -> ExitStatus {
        let process = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(process, rustix::process::Signal::TERM).expect("signalled");
        self.process.wait().expect("it ends")
    }

    /// As a crash would: nothing is cleaned up.
    fn kill(mut self) {
        self.process.kill().expect("killed");
        self.process.wait().expect("it ends");
    }
}

impl Drop for Server {
    /// After a failed test: the mount goes away with its process.
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            let _ = self.process.kill();
            let _ = self.process.wait();
            let _ = Command::new("umount").arg("-l").arg(&self.mount_point).stderr(Stdio::null()).status();
        }
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("listed").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> = entries.map(|name| name.into_string().expect("plain names")).collect();
    names.sort();
    names
}

#[test]
fn files_keep_what_is_written_wherever_they_are_moved() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let server = Server::start(folder.path());
    // Not a multiple of a page, larger than a request, and no two blocks alike.
    let content: Vec<u8> = (0..3_000_001u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    fs::write(server.path("a"), &content).expect("written");
    fs::create_dir(server.path("folder")).expect("created");
    fs::rename(server.path("a"), server.path("folder/b")).expect("renamed");
    assert!(fs::read(server.path("folder/b")).expect("read") == content);
    assert_eq!(fs::metadata(server.path("a")).expect_err("moved away").kind(), ErrorKind::NotFound);

    let mut file = OpenOptions::new().read(true).write(true).open(server.path("folder/b")).expect("opened");
    file.write_all_at(b"middle", 1_000_000).expect("written");
    file.set_len(1_000_003).expect("cut");
    file.seek(SeekFrom::Start(999_999)).expect("sought");
    let mut tail = Vec::new();
    file.read_to_end(&mut tail).expect("read");
    assert_eq!(tail, [content[999_999], b'm', b'i', b'd']);
    assert_eq!(file.metadata().expect("attributes").len(), 1_000_003);
    drop(file);
    assert!(server.terminate().success());
}

#[test]
fn the_tree_does_what_posix_says() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let server = Server::start(folder.path());
    let path = |name: &str| server.path(name);
    fs::create_dir(path("d")).expect("created");
    assert_eq!(fs::create_dir(path("d")).expect_err("there").kind(), ErrorKind::AlreadyExists);
    fs::write(path("d/f"), b"one").expect("written");
    assert_eq!(fs::remove_dir(path("d")).expect_err("not empty").kind(), ErrorKind::DirectoryNotEmpty);
    assert_eq!(fs::metadata(path("d")).expect("attributes").nlink(), 2);

    fs::hard_link(path("d/f"), path("g")).expect("linked");
    assert_eq!(fs::metadata(path("g")).expect("attributes").nlink(), 2);
    symlink("d/f", path("s")).expect("linked");
    assert_eq!(fs::read_link(path("s")).expect("read"), Path::new("d/f"));
    assert_eq!(fs::read(path("s")).expect("read"), b"one");

    fs::set_permissions(path("g"), fs::Permissions::from_mode(0o640)).expect("set");
    assert_eq!(fs::metadata(path("d/f")).expect("attributes").mode() & 0o7777, 0o640);

    let open = File::open(path("g")).expect("opened");
    fs::remove_file(path("g")).expect("removed");
    fs::write(path("new"), b"two").expect("written");
    fs::rename(path("new"), path("d/f")).expect("renamed over");
    let mut old = [0; 3];
    open.read_exact_at(&mut old, 0).expect("an open file outlives its last name");
    assert_eq!(&old, b"one");
    assert_eq!(open.metadata().expect("attributes").nlink(), 0);
    assert_eq!(fs::read(path("d/f")).expect("read"), b"two");

    let long = "x".repeat(256);
    assert_eq!(File::create(path(&long)).expect_err("too long").kind(), ErrorKind::InvalidFilename);
    assert_eq!(names(&path("")), ["d", "s"]);
    drop(open);
    assert!(server.terminate().success());
}

#[test]
fn a_large_directory_is_listed_whole_from_many_threads() {
    const THREADS: usize = 4;
    const FILES: usize = 500;
    let folder = tempfile::tempdir().expect("temporary folder");
    // So many that they wait for requests exclusively.
    let server = Server::start_with_shards(folder.path(), "6");
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let server = &server;
            scope.spawn(move || {
                for file in 0..FILES {
                    fs::write(server.path(&format!("file-{thread}-{file:04}")), [thread as u8]).expect("written");
                }
            });
        }
    });
    let mut expected: Vec<String> =
        (0..THREADS).flat_map(|t| (0..FILES).map(move |file| format!("file-{t}-{file:04}"))).collect();
    expected.sort();
    assert_eq!(names(folder.path()), expected);
    let total: u64 = expected.iter().map(|name| fs::metadata(server.path(name)).expect("attributes").len()).sum();
    assert_eq!(total, (THREADS * FILES) as u64);
    for name in &expected {
        fs::remove_file(server.path(name)).expect("removed");
    }
    assert!(names(folder.path()).is_empty());
    assert!(server.terminate().success());
}

#[test]
fn a_mount_of_a_killed_server_is_cleaned_by_the_next() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let server = Server::start(folder.path());
    fs::write(server.path("lost"), b"in memory").expect("written");
    // The kernel remembers these attributes, so that the dead mount still looks alive to stat.
    assert!(fs::metadata(folder.path()).expect("attributes").is_dir());
    server.kill();

    let server = Server::start(folder.path());
    assert!(names(folder.path()).is_empty());
    assert!(server.terminate().success());
    assert!(names(folder.path()).is_empty(), "the folder itself shows again");
}

#[test]
fn a_mount_point_in_use_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let server = Server::start(folder.path());
    let second = Command::new(env!("CARGO_BIN_EXE_shoal-null")).arg(folder.path()).arg("--foreground").output();
    let second = second.expect("started");
    assert!(!second.status.success());
    let message = String::from_utf8(second.stderr).expect("text");
    assert!(message.contains("is already the mount point of null"), "{message}");
    assert!(server.terminate().success());
}

#[test]
fn unmounting_from_outside_ends_the_server() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let mut server = Server::start(folder.path());
    let mut file = File::create(server.path("open")).expect("created");
    file.write_all(b"still here").expect("written");
    let busy = Command::new("umount").arg(folder.path()).stderr(Stdio::null()).status().expect("started");
    assert!(!busy.success(), "an open file keeps the mount");
    drop(file);
    assert!(Command::new("umount").arg(folder.path()).status().expect("started").success());
    assert!(server.process.wait().expect("it ends").success());
}
