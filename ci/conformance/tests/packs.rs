//! Small files on S3: how many requests they take, and how long, with packs and without. `SHOAL_LONG=1`: 10,000 of them.
//!
//! The server is `moto`, which writes down each request. Times are printed; the counts are what is claimed.

use shoal_ci_conformance::{is_long, wait_until};
use shoal_ci_servers::{Moto, Server};
use shoal_ci_testbed::Bed;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const FILE_BYTES: usize = 20_000;

struct Cost {
    puts: usize,
    gets: usize,
    /// Until the last call had returned.
    elapsed: Duration,
}

/// Requests for objects that the server has answered so far.
fn requests(server: &Server<Moto>) -> (usize, usize) {
    let log = fs::read_to_string(server.folder().join("log")).expect("the server writes a log");
    let count = |method: &str| {
        let request = format!("{method} /bucket/");
        log.lines().filter(|line| line.contains(&request) && line.contains("/objects/")).count()
    };
    (count("PUT"), count("GET"))
}

/// `after` goes on until no request is to come any more.
fn measured(server: &Server<Moto>, work: impl FnOnce(), after: impl FnOnce()) -> Cost {
    let (puts, gets) = requests(server);
    let start = Instant::now();
    work();
    let elapsed = start.elapsed();
    after();
    let (puts_after, gets_after) = requests(server);
    Cost { puts: puts_after - puts, gets: gets_after - gets, elapsed }
}

fn content(number: usize) -> Vec<u8> {
    let mut random = shoal_kv::Random::new(number as u64);
    (0..FILE_BYTES.div_ceil(8)).flat_map(|_| random.next_u64().to_le_bytes()).take(FILE_BYTES).collect()
}

fn files(folder: &Path, count: usize) -> impl Iterator<Item = (usize, std::path::PathBuf)> + '_ {
    (0..count).map(|number| (number, folder.join(format!("{number:05}"))))
}

/// What writing the files takes, with what is done in the background for it, and what reading them with nothing in memory takes.
fn write_and_read(server: &Server<Moto>, place: &str, options: &[&str], count: usize) -> (Cost, Cost) {
    let environment = [("AWS_ACCESS_KEY_ID", OsStr::new("anybody")), ("AWS_SECRET_ACCESS_KEY", OsStr::new("any"))];
    let bed = Bed::on_store(&server.url(place), &environment, options);
    let folder = bed.mount_point().join("d");
    let daemon = bed.mount(&["--no-cache"]);
    fs::create_dir(&folder).expect("made");
    let write = || files(&folder, count).for_each(|(number, path)| fs::write(path, content(number)).expect("written"));
    let is_stored = || {
        let status = bed.shoal(&["status", "--json", &bed.url()]).expect_code(0);
        let status: serde_json::Value = serde_json::from_str(&status.stdout).expect("JSON");
        status["staged_bytes"] == 0
    };
    let stored = || wait_until(Duration::from_secs(120), "everything is in the store", is_stored);
    let written = measured(server, write, stored);
    assert!(daemon.stop().success(), "{}", bed.log());
    let daemon = bed.mount(&["--no-cache"]);
    let same = |(number, path)| assert!(fs::read(path).expect("read") == content(number), "{number}");
    let read = measured(server, || files(&folder, count).for_each(same), || ());
    assert!(daemon.stop().success(), "{}", bed.log());
    bed.check();
    (written, read)
}

#[test]
fn small_files_on_s3_take_few_requests() {
    let count = if is_long() { 10_000 } else { 600 };
    let server = Server::start(Moto::default());
    let (written, read) = write_and_read(&server, "packed", &[], count);
    let (written_alone, read_alone) = write_and_read(&server, "alone", &["--stage-max", "0"], count);
    for (what, packed, alone) in [("written", &written, &written_alone), ("read", &read, &read_alone)] {
        println!(
            "{count} files {what}: packed {} PUTs, {} GETs, {:.1?}; alone {} PUTs, {} GETs, {:.1?}",
            packed.puts, packed.gets, packed.elapsed, alone.puts, alone.gets, alone.elapsed
        );
    }
    assert!(written_alone.puts >= count && read_alone.gets >= count, "each request is counted");
    assert!(written.puts * 50 <= count, "{} PUTs", written.puts);
    assert!(read.gets * 50 <= count, "{} GETs", read.gets);
}
