//! The fuzz target's seeds, run in the normal suite.

use shoal_fuse_protocol::{IoctlRequest, Operation, Request};
use std::path::Path;

fn seeds() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ci/fuzz/corpus/fuse_request");
    let entries = std::fs::read_dir(folder).expect("the seeds are part of the repository");
    let files = entries.map(|entry| entry.expect("an entry").path());
    let read = files.map(|path| {
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        (name, std::fs::read(&path).expect("readable"))
    });
    read.filter(|(name, _)| name.starts_with("seed-")).collect()
}

#[test]
#[cfg(target_endian = "little")]
fn every_seed_parses_unless_its_name_tells_its_fault() {
    let faulty = ["seed-unended-name", "seed-slash", "seed-header-cut", "seed-empty", "seed-batch-forget-short"];
    let seeds = seeds();
    assert!(seeds.len() > 30, "the seeds are there");
    for (name, bytes) in &seeds {
        let parsed = Request::parse(bytes);
        assert_eq!(parsed.is_err(), faulty.contains(&name.as_str()), "{name}: {parsed:?}");
        if let Ok(request) = parsed {
            assert!(!matches!(request.operation, Operation::Unknown { .. }), "{name}");
        }
    }
}

/// What a fuzzer would try first: each seed cut off anywhere, and with any one byte changed.
#[test]
fn damaged_seeds_never_make_the_parser_panic() {
    for (_, bytes) in seeds() {
        for end in 0..bytes.len() {
            let _ = Request::parse(&bytes[..end]);
        }
        for at in 0..bytes.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff, bytes[at].wrapping_add(1)] {
                let mut damaged = bytes.clone();
                damaged[at] = value;
                match Request::parse(&damaged).map(|request| request.operation) {
                    Ok(Operation::BatchForget(list)) => {
                        let _ = list.iter().count();
                    }
                    Ok(Operation::Ioctl { command, input, .. }) => {
                        let _ = IoctlRequest::parse(command, input);
                    }
                    _ => {}
                }
            }
        }
    }
}
