//! Object stores that are servers: each keeps the contract, and a volume lives on one of each protocol.
//!
//! The contract is held by `shoal storage-test`, as a user would hold a store to it.

use shoal_ci_conformance::{assert_same_tree, copy_tree};
use shoal_ci_servers::{Moto, Program, S3s, Server, Sftp, Webdav};
use shoal_ci_testbed::Bed;
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// This project's own sources, some hundred files.
fn tree() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../engine"))
}

fn text(value: &str) -> &OsStr {
    OsStr::new(value)
}

type Environment<'a> = [(&'a str, &'a OsStr)];

const S3S: &[(&str, &str)] =
    &[("SHOAL_STORAGE_ACCESS_KEY_ID", S3s::ACCESS_KEY_ID), ("SHOAL_STORAGE_SECRET_ACCESS_KEY", S3s::SECRET_ACCESS_KEY)];
/// Any signature will do, and some signature it must be.
const MOTO: &[(&str, &str)] = &[("AWS_ACCESS_KEY_ID", "anybody"), ("AWS_SECRET_ACCESS_KEY", "quiet as the sea")];
const WEBDAV: &[(&str, &str)] = &[("SHOAL_STORAGE_PASSWORD", Webdav::PASSWORD)];

fn environment<'a>(pairs: &'a [(&'a str, &'a str)]) -> Vec<(&'a str, &'a OsStr)> {
    pairs.iter().map(|(name, value)| (*name, text(value))).collect()
}

fn keeps_the_contract(url: &str, environment: &Environment<'_>) {
    let bed = Bed::new(&[]).with_environment(environment);
    let report = bed.shoal(&["storage-test", url]).expect_code(0);
    assert!(report.stdout.ends_with("12 of 12 claims are kept\n"), "{}", report.stdout);
    assert!(!report.stdout.contains("quiet as the sea") && !report.stderr.contains("quiet as the sea"));
}

/// A tree goes in, the daemon is killed and the server too if it remembers, and everything that was closed is there.
fn holds_a_volume(mut server: Server<impl Program>, url: &str, environment: &Environment<'_>, remembers: bool) {
    let bed = Bed::on_store(url, environment, &["--block-size", "64K", "--inline-max", "0"]);
    let copy = bed.mount_point().join("tree");
    let daemon = bed.mount(&["--no-cache"]);
    copy_tree(tree(), &copy);
    assert_same_tree(tree(), &copy);
    daemon.kill();
    if remembers {
        server.restart();
    }
    let daemon = bed.mount(&["--no-cache"]);
    assert_same_tree(tree(), &copy);
    if remembers {
        // A server that is away for a moment is waited for.
        server.restart();
    }
    std::fs::write(bed.mount_point().join("more"), vec![7; 300_000]).expect("the server is back");
    assert!(daemon.stop().success(), "{}", bed.log());
    bed.shoal(&["fsck", "--data", &bed.url()]).expect_code(0);
    bed.check();
    let status = bed.shoal(&["status", &bed.url()]).expect_code(0);
    assert!(status.stdout.contains(url), "{}", status.stdout);
    let said = format!("{}{}{}", status.stdout, status.stderr, bed.log());
    assert!(!said.contains("quiet as the sea"), "a secret was shown");
    // A place that a volume has is no other volume's.
    let other = format!("sqlite://{}", bed.path("other.db").display());
    bed.shoal(&["format", &other, "other", "--storage", url]).expect_code(4);
    bed.shoal(&["destroy", "--yes", &bed.url()]).expect_code(0);
    bed.shoal(&["format", &other, "other", "--storage", url]).expect_code(0);
}

#[test]
fn s3_by_moto() {
    let server = Server::start(Moto::default());
    keeps_the_contract(&server.url("trial"), &environment(MOTO));
    let url = server.url("volume");
    holds_a_volume(server, &url, &environment(MOTO), false);
}

#[test]
fn s3_by_s3s() {
    let server = Server::start(S3s);
    let signed = environment(S3S);
    keeps_the_contract(&format!("{}&conditional_writes=false", server.url("trial")), &signed);
    let url = format!("{}&conditional_writes=false", server.url("volume"));
    holds_a_volume(server, &url, &signed, true);
}

#[test]
fn s3_with_wrong_keys_is_a_matter_of_permission() {
    let server = Server::start(S3s);
    let wrong = [S3S[0], ("SHOAL_STORAGE_SECRET_ACCESS_KEY", "none of its secrets")];
    let keys = environment(&wrong);
    let bed = Bed::new(&[]).with_environment(&keys);
    let refused = bed.shoal(&["storage-test", &server.url("trial")]).expect_code(5);
    assert!(!refused.stderr.contains("none of its secrets"), "{}", refused.stderr);
}

#[test]
fn s3_by_tls_trusts_whom_it_is_told_to_and_nobody_else() {
    let server = Server::start(Moto { tls: true });
    let url = server.url("trial");
    let trusting = format!("{url}&ca={}", Moto::authority(server.folder()).display());
    keeps_the_contract(&trusting, &environment(MOTO));
    let bed = Bed::new(&[]).with_environment(&environment(MOTO));
    let refused = bed.shoal(&["storage-test", &url]);
    assert!(refused.code != Some(0) && refused.stderr.contains("certificate"), "{refused:?}");
    let in_the_clear = bed.shoal(&["storage-test", &url.replace("https://", "http://")]);
    assert!(in_the_clear.code != Some(0), "{in_the_clear:?}");
}

#[test]
fn credentials_that_are_sealed_open_with_the_key_alone() {
    let server = Server::start(S3s);
    let url = format!("{}&conditional_writes=false", server.url("sealed"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let key = folder.path().join("key");
    let keyless = Bed::new(&[]);
    let key_text = key.to_str().expect("the path is text");
    keyless.shoal(&["key", "new", key_text]).expect_code(0);
    let meta = format!("sqlite://{}", folder.path().join("volume.db").display());
    let encrypted = ["format", &meta, "sealed", "--storage", &url, "--encrypt", "aes-256-gcm", "--key-file", key_text];
    let sealing = [&encrypted[..], &["--seal-credentials"]].concat();
    // Without a key, and without anything to seal.
    keyless.shoal(&["format", &meta, "sealed", "--storage", &url, "--seal-credentials"]).expect_code(2);
    let opened = Bed::new(&[]).with_environment(&environment(S3S));
    opened.shoal(&sealing).expect_code(0);
    let database = std::fs::read(folder.path().join("volume.db")).expect("the database is there");
    let secret = S3s::SECRET_ACCESS_KEY.as_bytes();
    assert!(!database.windows(secret.len()).any(|window| window == secret), "a secret is in the metadata in the clear");
    keyless.shoal(&["fsck", "--data", "--key-file", key_text, &meta]).expect_code(0);
    let refused = keyless.shoal(&["gc", &meta]).expect_code(5);
    assert!(refused.stderr.contains("SHOAL_STORAGE_CREDENTIALS_FILE"), "{}", refused.stderr);
    opened.shoal(&["destroy", "--yes", &meta]).expect_code(0);
}

/// A mount whose credentials are sealed, or in a file, goes on with new ones when the old ones open nothing any more.
#[test]
fn mounts_take_new_credentials_while_they_are_in_use() {
    const NEW: &str = "loud as the shore";
    let server = Server::start(Webdav);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (key, file) = (folder.path().join("key"), folder.path().join("credentials"));
    let key = key.to_str().expect("the path is text");
    Bed::new(&[]).shoal(&["key", "new", key]).expect_code(0);
    let encrypted = ["--encrypt", "aes-256-gcm", "--key-file", key, "--seal-credentials", "--inline-max", "0"];
    let sealed = Bed::on_store(&server.url("sealed"), &environment(WEBDAV), &encrypted).without_environment();
    std::fs::write(&file, format!("password = {}\n", Webdav::PASSWORD)).expect("a file");
    let named = [("SHOAL_STORAGE_CREDENTIALS_FILE", file.as_os_str())];
    let by_file = Bed::on_store(&server.url("by-file"), &named, &["--inline-max", "0"]);
    let mounts = [sealed.mount(&["--no-cache", "--key-file", key]), by_file.mount(&["--no-cache"])];
    let write = |name: &str, byte: u8| {
        for bed in [&sealed, &by_file] {
            std::fs::write(bed.mount_point().join(name), vec![byte; 100_000]).expect("the store takes it");
        }
    };
    write("before", 1);

    Webdav::set_password(server.folder(), NEW);
    let config = ["config", &sealed.url(), "--seal-credentials", "--key-file", key];
    let with = |password: &'static str| {
        let new = Bed::new(&[]).with_environment(&[("SHOAL_STORAGE_PASSWORD", text(password))]);
        new.shoal(&config)
    };
    with("none of its passwords").expect_code(5);
    let said = with(NEW).expect_code(0);
    assert!(said.stdout.contains("sealed") && !format!("{said:?}").contains(NEW), "{said:?}");
    std::fs::write(&file, format!("password = {NEW}\n")).expect("a file");
    write("after", 2);
    for bed in [&sealed, &by_file] {
        for (name, byte) in [("before", 1), ("after", 2)] {
            let content = std::fs::read(bed.mount_point().join(name)).expect("the store gives it");
            assert!(content == vec![byte; 100_000], "{name}");
        }
        assert!(bed.log().contains("credentials of the object store have changed"), "{}", bed.log());
        assert!(!bed.log().contains(NEW), "a secret was shown");
    }
    for mount in mounts {
        assert!(mount.stop().success());
    }
    // Without what is sealed, the environment has to say it.
    sealed.shoal(&["config", &sealed.url(), "--unseal-credentials"]).expect_code(0);
    sealed.shoal(&["fsck", "--data", "--key-file", key, &sealed.url()]).expect_code(5);
    with(NEW).expect_code(0);
    sealed.shoal(&["fsck", "--data", "--key-file", key, &sealed.url()]).expect_code(0);
}

#[test]
fn webdav_by_lighttpd() {
    let server = Server::start(Webdav);
    keeps_the_contract(&server.url("trial"), &environment(WEBDAV));
    let url = server.url("volume");
    holds_a_volume(server, &url, &environment(WEBDAV), true);
}

#[test]
fn sftp_by_openssh() {
    let server = Server::start(Sftp);
    let path: OsString = Sftp::client_path(server.folder());
    let folder = server.folder().join("data").display().to_string();
    let url = |name: &str| server.url(&format!("{}/{name}", folder.trim_start_matches('/')));
    keeps_the_contract(&url("trial"), &[("PATH", &path)]);
    let url = url("volume");
    holds_a_volume(server, &url, &[("PATH", &path)], true);
}
