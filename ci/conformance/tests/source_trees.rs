//! Real trees copied in, compared, built on, and compared again after a remount.

use shoal_ci_conformance::{assert_same_tree, copy_tree, go_sources, is_long, run, rust_libraries};
use shoal_ci_testbed::Bed;
use std::path::PathBuf;
use std::process::Command;

/// The Go toolchain's sources where there are any: some 11,000 files. Otherwise, or of them in the short form, a part.
fn tree() -> PathBuf {
    match go_sources() {
        Some(sources) if is_long() => sources,
        Some(sources) => sources.join("cmd"),
        None => rust_libraries(),
    }
}

#[test]
fn a_source_tree_is_the_same_after_copying_and_after_a_remount() {
    let bed = Bed::new(&[]);
    let daemon = bed.mount(&[]);
    let copy = bed.mount_point().join("tree");
    copy_tree(&tree(), &copy);
    assert_same_tree(&tree(), &copy);
    assert!(daemon.stop().success(), "{}", bed.log());
    let daemon = bed.mount(&[]);
    assert_same_tree(&tree(), &copy);
    run(Command::new("rm").arg("-rf").arg(&copy));
    assert_eq!(std::fs::read_dir(bed.mount_point()).expect("an empty root lists").count(), 0);
    assert!(daemon.stop().success(), "{}", bed.log());
    bed.check();
}

#[test]
fn a_rust_crate_builds_and_runs_on_the_mount() {
    let bed = Bed::new(&[]);
    let daemon = bed.mount(&[]);
    let folder = bed.mount_point().join("hello");
    run(Command::new("cargo").args(["new", "--quiet", "--vcs", "none"]).arg(&folder));
    let build = |command: &str| {
        let mut cargo = Command::new("cargo");
        cargo.args([command, "--quiet", "--offline"]).current_dir(&folder).env_remove("CARGO_TARGET_DIR");
        run(&mut cargo)
    };
    assert_eq!(build("run"), "Hello, world!\n");
    // Fingerprints are times: a second build finds everything fresh only if ours are kept.
    let mut again = Command::new("cargo");
    again.args(["build", "--offline", "--verbose"]).current_dir(&folder).env_remove("CARGO_TARGET_DIR");
    let told = String::from_utf8_lossy(&again.output().expect("cargo starts").stderr).into_owned();
    assert!(told.contains("Fresh hello") && !told.contains("Compiling"), "{told}");
    build("test");
    assert!(daemon.stop().success(), "{}", bed.log());
    bed.check();
}

#[test]
fn a_go_program_builds_and_runs_on_the_mount() {
    if go_sources().is_none() {
        eprintln!("no Go toolchain on this machine: there is nothing to build with");
        return;
    }
    let bed = Bed::new(&[]);
    let daemon = bed.mount(&[]);
    let folder = bed.mount_point().join("hello");
    std::fs::create_dir(&folder).expect("mkdir");
    std::fs::write(folder.join("go.mod"), "module hello\n\ngo 1.20\n").expect("write");
    let program = "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println(\"hello from the mount\") }\n";
    std::fs::write(folder.join("main.go"), program).expect("write");
    let mut go = Command::new("go");
    go.args(["build", "-o", "hello", "."]).current_dir(&folder).env("GOCACHE", bed.mount_point().join("cache"));
    run(go.env("GOFLAGS", "-mod=mod").env("GOTMPDIR", &folder));
    assert_eq!(run(&mut Command::new(folder.join("hello"))), "hello from the mount\n");
    assert!(daemon.stop().success(), "{}", bed.log());
    bed.check();
}
