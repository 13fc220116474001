//! Python's own tests of files, in a folder on the mount.
//!
//! Relies on a Python with its tests: Debian's, or for a module that this one leaves out, the one in PATH.

use shoal_ci_conformance::{Twins, is_long};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

const MODULES: [&str; 9] = [
    "test_os",
    "test_posix",
    "test_fcntl",
    "test_shutil",
    "test_mailbox",
    "test_dbm",
    "test_sqlite3",
    "test_tempfile",
    "test_pathlib",
];

const MODULES_OF_THE_LONG_FORM: [&str; 12] = [
    "test_file",
    "test_filecmp",
    "test_fileinput",
    "test_fileio",
    "test_glob",
    "test_io",
    "test_largefile",
    "test_mmap",
    "test_posixpath",
    "test_subprocess",
    "test_tarfile",
    "test_zipfile",
];

/// The Python to run a module of tests with.
fn python_with(module: &str) -> Option<&'static str> {
    let has = |python: &&str| {
        let mut command = Command::new(python);
        command.args(["-c", &format!("import importlib.util as i; exit(i.find_spec('test.{module}') is None)")]);
        command.current_dir("/").output().is_ok_and(|output| output.status.success())
    };
    ["/usr/bin/python3", "python3"].into_iter().find(has)
}

struct Results {
    /// `failure`, `error`, `skipped` or nothing, of each test.
    tests: BTreeMap<String, String>,
    /// Also false where a part of a test fails, of which the list does not tell.
    success: bool,
    told: String,
}

/// Runs the tests of a module with all their files in a folder.
fn test(python: &str, module: &str, folder: &Path, list: &Path) -> Results {
    let place = folder.join(module);
    fs::create_dir(&place).expect("mkdir");
    let mut command = Command::new(python);
    command.args(["-m", "test", "--verbose3", "--use", "largefile", module, "--junit-xml"]).arg(list);
    command.current_dir(&place).env("TMPDIR", &place).env("LC_ALL", "C.UTF-8");
    let output = command.output().expect("Python starts");
    let told = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    let list = fs::read_to_string(list).unwrap_or_else(|error| panic!("{module}: {error}: {told}"));
    let outcome = |case: &str| {
        let (name, rest) = case.split_once('"').expect("a name in quotes");
        let outcome = ["failure", "error", "skipped"].into_iter().find(|kind| rest.contains(&format!("<{kind}")));
        (name.to_owned(), outcome.unwrap_or_default().to_owned())
    };
    let tests = list.split("<testcase name=\"").skip(1).map(outcome).collect();
    Results { tests, success: output.status.success(), told }
}

#[test]
fn no_test_of_python_fails_that_passes_in_a_local_folder() {
    let twins = Twins::new(&[]);
    let [local, mounted] = twins.folders();
    let list = tempfile::NamedTempFile::new().expect("a temporary file");
    let more: &[&str] = if is_long() { &MODULES_OF_THE_LONG_FORM } else { &[] };
    for module in MODULES.iter().chain(more) {
        let Some(python) = python_with(module) else {
            eprintln!("no Python here brings {module}: it is left out");
            continue;
        };
        let start = Instant::now();
        let found = test(python, module, &mounted, list.path());
        let took = start.elapsed();
        let wanted = test(python, module, &local, list.path());
        assert!(!found.tests.is_empty(), "{module}: {}", found.told);
        let changed =
            |(name, outcome): &(&String, &String)| !outcome.is_empty() && wanted.tests.get(*name) != Some(*outcome);
        let worse: Vec<_> = found.tests.iter().filter(changed).collect();
        assert!(worse.is_empty(), "{module} on the mount, but not in a local folder: {worse:#?}\n{}", found.told);
        assert!(found.success || !wanted.success, "{module}: {}", found.told);
        println!("{module} of {python}: {} tests in {took:.1?}, as in a local folder", found.tests.len());
    }
    twins.end();
}
