//! How many create-like jobs a second the writer takes, and how long a read takes.
//!
//! `cargo run --release -p shoal-kv-sqlite --example bench -- [folder]`. A job does what a file create does: read the
//! parent's record and the new name, put the entry and the inode, add to three counters of the parent and the volume.
//! The figures are for many jobs under way at once; one at a time pays the whole path each time (printed as well).

use shoal_kv::{Attempt, Durability, Job, Kv, KvResult, Random, Transaction, Verdict};
use shoal_kv_sqlite::SqliteKv;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

const SUBMITTERS: u64 = 4;
const UNDER_WAY: usize = 128;
const CREATES: u64 = 50_000;
const GETS: usize = 200_000;
const ALONE: u64 = 2_000;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let path = folder.join(format!("kv-sqlite-bench-{}", std::process::id()));
    let kv = SqliteKv::open(&path, true)?;
    let result = run(&kv);
    kv.close()?;
    for suffix in ["", "-epoch"] {
        std::fs::remove_file(format!("{}{suffix}", path.display()))?;
    }
    result
}

fn run(kv: &Arc<SqliteKv>) -> Result<(), Box<dyn Error>> {
    let shared: Arc<dyn Kv> = kv.clone();
    shared.transact(Durability::Visible, |transaction, _| {
        (0..SUBMITTERS).for_each(|folder| transaction.put(&identity(folder), &[1; 60]));
        Ok(((), Verdict::Commit))
    })?;

    let before = (Instant::now(), kv.commits(), processor_time());
    let submitters: Vec<_> = (0..SUBMITTERS)
        .map(|folder| {
            let kv = shared.clone();
            thread::spawn(move || create_many(kv.as_ref(), folder))
        })
        .collect();
    for submitter in submitters {
        submitter.join().map_err(|_| "a submitter panicked")?;
    }
    let (jobs, seconds) = (SUBMITTERS * CREATES, before.0.elapsed().as_secs_f64());
    println!(
        "creates, {SUBMITTERS} x {UNDER_WAY} under way: {:.0} jobs/s, {:.1} us of processor time each, {:.0} jobs a commit",
        jobs as f64 / seconds,
        (processor_time() - before.2).as_secs_f64() * 1e6 / jobs as f64,
        jobs as f64 / (kv.commits() - before.1) as f64,
    );

    for (durability, count) in [(Durability::Visible, ALONE), (Durability::Durable, ALONE / 10)] {
        let mut times = Vec::new();
        for number in 0..count {
            let start = Instant::now();
            let number = number + if durability == Durability::Durable { 1 << 40 } else { 1 << 41 };
            shared.transact(durability, move |transaction, _| Ok(((), create(transaction, 0, number)?)))?;
            times.push(start.elapsed());
        }
        println!("one create at a time, {durability:?}: {}", percentiles(&mut times));
    }

    let mut random = Random::new(1);
    let mut times = Vec::with_capacity(GETS);
    for _ in 0..GETS {
        let key = inode(random.below(SUBMITTERS), random.below(CREATES));
        let start = Instant::now();
        let mut found = false;
        kv.read(&mut |reader| {
            found = reader.get(&key)?.is_some();
            Ok(())
        })?;
        times.push(start.elapsed());
        assert!(found, "every created inode is there");
    }
    println!("read of one key: {}", percentiles(&mut times));
    Ok(())
}

fn create_many(kv: &dyn Kv, folder: u64) {
    let (sender, ended) = sync_channel::<KvResult<Verdict>>(UNDER_WAY);
    for number in 0..CREATES {
        if number >= UNDER_WAY as u64 {
            ended.recv().expect("a sender is at hand").expect("the create commits");
        }
        kv.submit(Box::new(Create { folder, number, ended: sender.clone() }), Durability::Visible);
    }
    for _ in 0..UNDER_WAY {
        ended.recv().expect("a sender is at hand").expect("the create commits");
    }
}

struct Create {
    folder: u64,
    number: u64,
    ended: SyncSender<KvResult<Verdict>>,
}

impl Job for Create {
    fn run(&mut self, transaction: &mut dyn Transaction, _: Attempt) -> KvResult<Verdict> {
        create(transaction, self.folder, self.number)
    }

    fn done(self: Box<Self>, outcome: KvResult<Verdict>) {
        self.ended.send(outcome).expect("the submitter waits for it");
    }
}

fn create(transaction: &mut dyn Transaction, folder: u64, number: u64) -> KvResult<Verdict> {
    let entry = [key(b'n', folder, b'd').as_slice(), format!("file-{number:08}").as_bytes()].concat();
    if transaction.get(&identity(folder))?.is_none() || transaction.get(&entry)?.is_some() {
        return Ok(Verdict::Abort);
    }
    transaction.put(&entry, &[2; 24]);
    transaction.put(&inode(folder, number), &[3; 64]);
    transaction.add(&key(b'n', folder, b'a'), 1);
    transaction.add(&key(b'n', folder, b'b'), 4096);
    transaction.add(b"c usage", 1);
    Ok(Verdict::Commit)
}

fn identity(folder: u64) -> Vec<u8> {
    key(b'n', folder, b'i')
}

/// Inode numbers are leased in ranges, so those of one submitter are neighbours.
fn inode(folder: u64, number: u64) -> Vec<u8> {
    key(b'n', ((folder + 1) << 32) + number, b'i')
}

fn key(tag: u8, number: u64, field: u8) -> Vec<u8> {
    let mut key = vec![tag];
    key.extend_from_slice(&number.to_be_bytes());
    key.push(field);
    key
}

fn percentiles(times: &mut [Duration]) -> String {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    format!("p50 {:?}, p99 {:?}, max {:?}", at(0.5), at(0.99), at(1.0))
}

/// Of all threads of this process.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
