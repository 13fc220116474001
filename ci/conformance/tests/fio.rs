//! fio writes blocks that carry their own checksums, in every mix, and reads them back.

use shoal_ci_conformance::{is_long, run};
use shoal_ci_testbed::Bed;
use std::process::Command;

/// Pattern, block size, direct, jobs.
const MIXES: [(&str, &str, bool, u32); 8] = [
    ("write", "1m", false, 1),
    ("write", "1m", true, 4),
    ("randwrite", "4k", false, 4),
    ("randwrite", "4k", true, 1),
    ("randwrite", "3k", false, 2),
    ("randrw", "16k", true, 8),
    ("rw", "128k", false, 8),
    ("randrw", "2k-66k", false, 3),
];

#[test]
fn every_block_reads_back_as_it_was_written() {
    let bed = Bed::new(&[]);
    let daemon = bed.mount(&["--cache-size", "256M"]);
    let megabytes = if is_long() { 512 } else { 24 };
    for (number, (pattern, block, direct, jobs)) in MIXES.into_iter().enumerate() {
        let folder = bed.mount_point().join(format!("mix-{number}"));
        std::fs::create_dir(&folder).expect("mkdir");
        let size = (megabytes / jobs).max(4);
        let mut fio = Command::new("fio");
        fio.args(["--name=mix", "--verify=crc32c", "--verify_fatal=1", "--do_verify=1", "--group_reporting"]);
        fio.args(["--ioengine=libaio", "--iodepth=8", "--end_fsync=1", "--minimal"]);
        // Otherwise it leaves notes of its own in the current folder.
        fio.arg("--verify_state_save=0");
        fio.arg(format!("--directory={}", folder.display())).arg(format!("--rw={pattern}"));
        fio.arg(format!("--size={size}m"))
            .arg(format!("--numjobs={jobs}"))
            .arg(format!("--direct={}", u8::from(direct)));
        match block.contains('-') {
            true => fio.arg(format!("--bsrange={block}")),
            false => fio.arg(format!("--bs={block}")),
        };
        run(&mut fio);
    }
    assert!(daemon.stop().success(), "{}", bed.log());
    bed.check();
}
