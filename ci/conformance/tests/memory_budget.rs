//! Sequential writes and reads of more than the buffers hold: their bounds hold, and so do the bytes.

use shoal_ci_conformance::is_long;
use shoal_ci_testbed::Bed;
use std::fs::{self, File};
use std::io::{Read, Write};

const BUFFER_MIB: u64 = 32;
/// Of everything else: the program, SQLite, buffers for requests and downloads, and what the allocator keeps.
const BESIDE_MIB: u64 = 160;

#[test]
fn a_file_larger_than_the_write_buffer_does_not_make_the_daemon_grow_beyond_it() {
    let bed = Bed::new(&[]);
    let daemon = bed.mount(&["--write-buffer", "32M", "--read-buffer", "32M"]);
    let path = bed.mount_point().join("large");
    let mib = if is_long() { 4096 } else { 512 };
    let start_kb = daemon.resident_kb();
    let mut file = File::create(&path).expect("create");
    let mut peak_kb = start_kb;
    for number in 0..mib {
        file.write_all(&block(number)).expect("write");
        peak_kb = peak_kb.max(daemon.resident_kb());
    }
    file.sync_all().expect("fsync");
    drop(file);
    println!("{mib} MiB through a buffer of {BUFFER_MIB} MiB: {start_kb} KiB at the start, {peak_kb} KiB at the peak");
    assert!(peak_kb < (BUFFER_MIB * 2 + BESIDE_MIB) << 10, "{peak_kb} KiB at the peak");
    let mut file = File::open(&path).expect("open");
    let mut found = vec![0; 1 << 20];
    for number in 0..mib {
        file.read_exact(&mut found).expect("read");
        assert!(found == block(number), "MiB {number} reads back as written");
    }
    fs::remove_file(&path).expect("remove");
    assert!(daemon.stop().success(), "{}", bed.log());
    bed.check();
}

#[test]
fn a_daemon_that_is_given_256_mib_takes_no_more_whatever_it_writes_and_reads() {
    const MEMORY_KIB: u64 = 256 << 10;
    let bed = Bed::new(&["--compress", "lz4"]);
    let daemon = bed.mount(&["--memory", "256M", "--no-cache"]);
    let mib = if is_long() { 2048 } else { 384 };
    let mut peak_kb = 0;
    for copy in 0..2 {
        let mut file = File::create(bed.mount_point().join(format!("large-{copy}"))).expect("create");
        for number in 0..mib {
            file.write_all(&block(number)).expect("write");
            peak_kb = peak_kb.max(daemon.resident_kb());
        }
    }
    let mut files = [0, 1].map(|copy| File::open(bed.mount_point().join(format!("large-{copy}"))).expect("open"));
    let mut found = vec![0; 1 << 20];
    for number in 0..mib {
        for file in &mut files {
            file.read_exact(&mut found).expect("read");
            assert!(found == block(number), "MiB {number} reads back as written");
        }
        peak_kb = peak_kb.max(daemon.resident_kb());
    }
    println!("{peak_kb} KiB at the peak");
    assert!(peak_kb < MEMORY_KIB, "{peak_kb} KiB at the peak");
    assert!(daemon.stop().success(), "{}", bed.log());
    bed.check();
}

fn block(number: u64) -> Vec<u8> {
    (0..1u64 << 17).flat_map(|word| ((word * 0x9e37_79b9) ^ number).to_le_bytes()).collect()
}
