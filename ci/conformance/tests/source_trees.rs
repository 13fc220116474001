//! Real trees copied in, compared, built on, and compared again after a remount.

use shoal_ci_conformance::{assert_same_tree, copy_tree, go_sources, is_long, run, rust_libraries};
use shoal_ci_testbed::Bed;
use std::fs;
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

/// Crates that need one another in layers, so that several compilers, and cargo's locks, are at work at once.
#[test]
fn a_rust_workspace_builds_with_parallel_jobs_and_is_fresh_afterwards() {
    let (layers, width) = if is_long() { (8, 12) } else { (2, 4) };
    let bed = Bed::new(&[]);
    let daemon = bed.mount(&[]);
    let folder = bed.mount_point().join("workspace");
    fs::create_dir(&folder).expect("mkdir");
    fs::write(folder.join("Cargo.toml"), "[workspace]\nmembers = [\"c*\"]\nresolver = \"3\"\n").expect("write");
    for (layer, number) in (0..layers).flat_map(|layer| (0..width).map(move |number| (layer, number))) {
        let below: Vec<String> = match layer {
            0 => Vec::new(),
            _ => (0..width).map(|below| format!("c{}-{below}", layer - 1)).collect(),
        };
        let needs: String = below.iter().map(|name| format!("{name} = {{ path = \"../{name}\" }}\n")).collect();
        let calls: String = below.iter().map(|name| format!(" + {}::sum()", name.replace('-', "_"))).collect();
        let source = folder.join(format!("c{layer}-{number}/src"));
        fs::create_dir_all(&source).expect("mkdir");
        let manifest =
            format!("[package]\nname = \"c{layer}-{number}\"\nedition = \"2024\"\n\n[dependencies]\n{needs}");
        fs::write(source.with_file_name("Cargo.toml"), manifest).expect("write");
        fs::write(source.join("lib.rs"), format!("pub fn sum() -> u64 {{\n    1{calls}\n}}\n")).expect("write");
        let main = format!("fn main() {{\n    println!(\"{{}}\", c{layer}_{number}::sum());\n}}\n");
        fs::write(source.join("main.rs"), main).expect("write");
    }
    let cargo = |arguments: &[&str]| {
        let mut cargo = Command::new("cargo");
        cargo.args(arguments).arg("--offline").current_dir(&folder).env_remove("CARGO_TARGET_DIR");
        cargo
    };
    // Two at once: the second waits for the first's lock, and finds all done.
    let builds = [(); 2].map(|()| cargo(&["build", "--quiet", "--jobs", "8"]).spawn().expect("cargo starts"));
    builds.into_iter().for_each(|mut build| assert!(build.wait().expect("a child of ours").success()));
    let top = format!("c{}-0", layers - 1);
    let sum = (0..layers - 1).fold(1u64, |below, _| 1 + width * below);
    assert_eq!(run(&mut cargo(&["run", "--quiet", "--package", &top])), format!("{sum}\n"));
    let again = cargo(&["build", "--verbose"]).output().expect("cargo starts");
    let told = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(told.contains(&format!("Fresh {top}")) && !told.contains("Compiling"), "{told}");
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
