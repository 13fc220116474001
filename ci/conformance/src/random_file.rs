//! Random calls on one file, judged by a model in memory: what fsx does, with the calls that it lacks.
//!
//! Every way to the bytes is used: reads and writes of any alignment, through the page cache, past it (O_DIRECT) and
//! through mappings, truncation, fallocate(2), copy_file_range(2), and between them whatever makes the kernel or the
//! daemon let go of what they hold. The file starts far enough in front of a chunk's border to lie on both sides of it.

use crate::Mapping;
use rustix::fs::{Advice, CWD, FallocateFlags, Mode, OFlags, SeekFrom};
use shoal_kv::Random;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

pub struct RandomFile {
    path: PathBuf,
    file: File,
    random: Random,
    seed: u64,
    /// Where the bytes of the model begin in the file; before it is a hole.
    base: u64,
    bytes: Vec<u8>,
    log: Vec<String>,
}

/// Bytes of the window that all calls fall into.
const WINDOW: u64 = 1 << 20;
const CHUNK_BYTES: u64 = 64 << 20;
const PAGE: u64 = 4096;
/// Calls that a failure tells about.
const LOG_MAX: usize = 60;

impl RandomFile {
    /// A new file in `folder`. One seed gives one sequence of calls.
    pub fn new(folder: &Path, seed: u64) -> Self {
        let path = folder.join(format!("random-{seed}"));
        let file = File::create_new(&path).expect("a new file");
        let base = if seed.is_multiple_of(2) { 0 } else { CHUNK_BYTES - WINDOW / 2 };
        file.set_len(base).expect("an empty file can grow");
        let random = Random::new(seed);
        let mut new = RandomFile { path, file, random, seed, base, bytes: Vec::new(), log: Vec::new() };
        new.reopen();
        new
    }

    /// Makes some calls; panics with the last ones at the first wrong answer.
    pub fn run(&mut self, steps: u64) {
        for _ in 0..steps {
            match self.random.below(20) {
                0..=3 => self.write(),
                4 => self.write_direct(),
                5 => self.append(),
                6 => self.write_mapped(),
                7 => self.write_privately(),
                8 => self.truncate(),
                9 | 10 => self.fallocate(),
                11 | 12 => self.copy_within(),
                13 => self.copy_around(),
                14 => self.sync(),
                15 => self.let_go(),
                16 => self.seek(),
                _ => self.read(),
            }
            let length = self.file.metadata().expect("an open file has attributes").len();
            assert_eq!(length, self.base + self.bytes.len() as u64, "length\n{}", self.story());
        }
        self.reopen();
        self.compare(0, WINDOW as usize, "at the end");
    }

    fn write(&mut self) {
        let (at, bytes) = self.new_bytes();
        self.note(format!("write {} bytes at {at}", bytes.len()));
        self.file.write_all_at(&bytes, self.base + at).expect("write");
        self.put(at, &bytes);
    }

    /// The page cache does not see it; FUSE takes any alignment, other file systems only blocks.
    fn write_direct(&mut self) {
        let (at, bytes) = self.new_bytes();
        let (at, length) = (at / PAGE * PAGE, (bytes.len() as u64).div_ceil(PAGE) * PAGE);
        self.note(format!("write {length} bytes at {at} directly"));
        let mut buffer = vec![0; (length + PAGE) as usize];
        let skip = buffer.as_ptr().align_offset(PAGE as usize);
        let aligned = &mut buffer[skip..skip + length as usize];
        aligned.iter_mut().zip(bytes.iter().cycle()).for_each(|(to, from)| *to = *from);
        let file = self.open(OFlags::DIRECT);
        file.write_all_at(aligned, self.base + at).expect("direct write");
        let aligned = aligned.to_vec();
        self.put(at, &aligned);
    }

    fn append(&mut self) {
        let (_, bytes) = self.new_bytes();
        let room = (WINDOW as usize - self.bytes.len()).min(bytes.len());
        let bytes = &bytes[..room];
        self.note(format!("append {room} bytes"));
        self.open(OFlags::APPEND).write_all(bytes).expect("append");
        self.bytes.extend_from_slice(bytes);
    }

    fn write_mapped(&mut self) {
        let Some((at, length)) = self.present() else { return };
        let (start, skip) = (at / PAGE * PAGE, at % PAGE);
        let synced = self.random.chance(0.3);
        self.note(format!("write {length} bytes at {at} through a mapping, synced: {synced}"));
        let bytes: Vec<u8> = (0..length).map(|_| self.random.next_u64() as u8).collect();
        let mut mapping =
            Mapping::new(&self.file, self.base + start, skip as usize + length, true).expect("a shared mapping");
        mapping.write(skip as usize, &bytes);
        if synced {
            mapping.sync().expect("msync");
        }
        self.put(at, &bytes);
    }

    /// What is written to a private mapping is seen there and nowhere else.
    fn write_privately(&mut self) {
        let Some((at, length)) = self.present() else { return };
        let (start, skip) = (at / PAGE * PAGE, (at % PAGE) as usize);
        self.note(format!("write {length} bytes at {at} through a private mapping"));
        let mut mapping = Mapping::new(&self.file, self.base + start, skip + length, false).expect("a private mapping");
        let expected = &self.bytes[at as usize..at as usize + length];
        assert!(mapping.read(skip, length) == expected, "through the mapping\n{}", self.story());
        let other: Vec<u8> = expected.iter().map(|byte| !byte).collect();
        mapping.write(skip, &other);
        assert!(mapping.read(skip, length) == other, "through the mapping, after writing\n{}", self.story());
        self.compare(at, length, "beside a private mapping");
    }

    fn truncate(&mut self) {
        let length = self.random.below(WINDOW);
        self.note(format!("truncate to {length}"));
        self.file.set_len(self.base + length).expect("truncate");
        self.bytes.resize(length as usize, 0);
    }

    fn fallocate(&mut self) {
        let (at, length) = self.place();
        let (flags, keep) = match self.random.below(5) {
            0 => (FallocateFlags::empty(), false),
            1 => (FallocateFlags::KEEP_SIZE, true),
            2 => (FallocateFlags::ZERO_RANGE, false),
            3 => (FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE, true),
            _ => (FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, true),
        };
        self.note(format!("fallocate {flags:?} {length} bytes at {at}"));
        rustix::fs::fallocate(&self.file, flags, self.base + at, length).expect("fallocate");
        let end = (at + length) as usize;
        if !keep {
            self.bytes.resize(self.bytes.len().max(end), 0);
        }
        if flags.intersects(FallocateFlags::ZERO_RANGE | FallocateFlags::PUNCH_HOLE) {
            let end = end.min(self.bytes.len());
            self.bytes[(at as usize).min(end)..end].fill(0);
        }
    }

    fn copy_within(&mut self) {
        let Some((from, length)) = self.present() else { return };
        let to = self.random.below(WINDOW - length as u64);
        self.note(format!("copy {length} bytes from {from} to {to}"));
        if from.abs_diff(to) < length as u64 {
            let refused = copy_range(&self.file, self.base + from, &self.file, self.base + to, length);
            assert_eq!(refused, Err(rustix::io::Errno::INVAL), "ranges overlap\n{}", self.story());
            return;
        }
        copy_whole(&self.file, self.base + from, &self.file, self.base + to, length);
        let bytes = self.bytes[from as usize..from as usize + length].to_vec();
        self.put(to, &bytes);
    }

    /// To another file and back to another place.
    fn copy_around(&mut self) {
        let Some((from, length)) = self.present() else { return };
        let (there, to) = (self.random.below(CHUNK_BYTES), self.random.below(WINDOW - length as u64));
        self.note(format!("copy {length} bytes from {from} to another file at {there}, and back to {to}"));
        let other_path = self.path.with_extension("other");
        let options = OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC;
        let other: File = rustix::fs::openat(CWD, &other_path, options, Mode::RUSR | Mode::WUSR).expect("open").into();
        copy_whole(&self.file, self.base + from, &other, there, length);
        let bytes = self.bytes[from as usize..from as usize + length].to_vec();
        // What the first file becomes now must not show in the second.
        self.file.write_all_at(&vec![0x55; length], self.base + from).expect("write");
        self.put(from, &vec![0x55; length]);
        copy_whole(&other, there, &self.file, self.base + to, length);
        self.put(to, &bytes);
        drop(other);
        std::fs::remove_file(&other_path).expect("remove");
    }

    fn sync(&mut self) {
        let how = self.random.below(4);
        self.note(format!("sync, way {how}"));
        match how {
            0 => self.file.sync_all().expect("fsync"),
            1 => self.file.sync_data().expect("fdatasync"),
            2 => rustix::fs::syncfs(&self.file).expect("syncfs"),
            _ => {
                let flags = libc::SYNC_FILE_RANGE_WRITE | libc::SYNC_FILE_RANGE_WAIT_AFTER;
                // SAFETY: the call takes no pointers.
                let synced = unsafe { libc::sync_file_range(self.file.as_raw_fd(), 0, 0, flags) };
                assert_eq!(synced, 0, "sync_file_range: {}", std::io::Error::last_os_error());
            }
        }
    }

    fn let_go(&mut self) {
        match self.random.below(2) {
            0 => {
                self.note("close and open".into());
                self.reopen();
            }
            _ => {
                self.note("drop the page cache".into());
                rustix::fs::fadvise(&self.file, 0, None, Advice::DontNeed).expect("fadvise");
            }
        }
    }

    /// Holes hold nothing but zeros, and everything else is data up to the end.
    fn seek(&mut self) {
        let Some((at, _)) = self.present() else { return };
        self.note(format!("seek from {at}"));
        let end = self.base + self.bytes.len() as u64;
        let mut position = self.base + at;
        while position < end {
            let data = match rustix::fs::seek(&self.file, SeekFrom::Data(position)) {
                Ok(data) => data,
                Err(rustix::io::Errno::NXIO) => end,
                Err(error) => panic!("seek: {error}"),
            };
            let hole = &self.bytes[(position - self.base) as usize..(data - self.base) as usize];
            assert!(hole.iter().all(|byte| *byte == 0), "data in a hole behind {position}\n{}", self.story());
            if data == end {
                break;
            }
            position = rustix::fs::seek(&self.file, SeekFrom::Hole(data)).expect("there is a hole at the end at least");
            assert!(position > data && position <= end, "a hole at {position} behind {data}\n{}", self.story());
        }
    }

    fn read(&mut self) {
        let (at, length) = self.place();
        match self.random.below(4) {
            0 => {
                self.note(format!("read {length} bytes at {at} directly"));
                let (at, length) = (at / PAGE * PAGE, length.div_ceil(PAGE) * PAGE);
                let mut buffer = vec![0; (length + PAGE) as usize];
                let skip = buffer.as_ptr().align_offset(PAGE as usize);
                let aligned = &mut buffer[skip..skip + length as usize];
                let count = self.open(OFlags::DIRECT).read_at(aligned, self.base + at).expect("direct read");
                let found = aligned[..count].to_vec();
                self.judge(at, length as usize, &found, "directly");
            }
            _ => {
                self.note(format!("read {length} bytes at {at}"));
                self.compare(at, length as usize, "by a read");
            }
        }
    }

    fn compare(&self, at: u64, length: usize, how: &str) {
        let mut found = vec![0; length];
        let mut count = 0;
        loop {
            match self.file.read_at(&mut found[count..], self.base + at + count as u64).expect("read") {
                0 => break,
                more => count += more,
            }
        }
        self.judge(at, length, &found[..count], how);
    }

    fn judge(&self, at: u64, length: usize, found: &[u8], how: &str) {
        let expected = self.bytes.get(at as usize..).unwrap_or_default();
        let expected = &expected[..expected.len().min(length)];
        assert_eq!(found.len(), expected.len(), "bytes {how} at {at}\n{}", self.story());
        let wrong = found.iter().zip(expected).position(|(found, expected)| found != expected);
        assert_eq!(wrong, None, "the first wrong byte {how} at {at}\n{}", self.story());
    }

    fn put(&mut self, at: u64, bytes: &[u8]) {
        let end = at as usize + bytes.len();
        self.bytes.resize(self.bytes.len().max(end), 0);
        self.bytes[at as usize..end].copy_from_slice(bytes);
    }

    fn reopen(&mut self) {
        self.file = self.open(OFlags::empty());
    }

    fn open(&self, flags: OFlags) -> File {
        rustix::fs::openat(CWD, &self.path, OFlags::RDWR | flags, Mode::empty()).expect("open").into()
    }

    /// A place that ends within the window; mostly small.
    fn place(&mut self) -> (u64, u64) {
        let bound = [200, 10_000, 300_000][self.random.below(3) as usize];
        let length = 1 + self.random.below(bound);
        (self.random.below(WINDOW - length - PAGE), length)
    }

    /// A place within the file's bytes, if there are any.
    fn present(&mut self) -> Option<(u64, usize)> {
        if self.bytes.is_empty() {
            return None;
        }
        let (at, length) = self.place();
        let at = at % self.bytes.len() as u64;
        Some((at, length.min(self.bytes.len() as u64 - at) as usize))
    }

    fn new_bytes(&mut self) -> (u64, Vec<u8>) {
        let (at, length) = self.place();
        let first = self.random.next_u64();
        (at, (0..length).map(|index| (first.wrapping_add(index * 0x9e37_79b9) >> 7) as u8).collect())
    }

    fn note(&mut self, call: String) {
        if self.log.len() == LOG_MAX {
            self.log.remove(0);
        }
        self.log.push(call);
    }

    fn story(&self) -> String {
        format!("seed {}, offsets from {}:\n{}", self.seed, self.base, self.log.join("\n"))
    }
}

fn copy_range(from: &File, at: u64, to: &File, to_at: u64, length: usize) -> rustix::io::Result<usize> {
    let (mut at, mut to_at) = (at, to_at);
    rustix::fs::copy_file_range(from, Some(&mut at), to, Some(&mut to_at), length)
}

fn copy_whole(from: &File, at: u64, to: &File, to_at: u64, length: usize) {
    let mut copied = 0;
    while copied < length {
        let (at, to_at) = (at + copied as u64, to_at + copied as u64);
        match copy_range(from, at, to, to_at, length - copied).expect("copy_file_range") {
            0 => panic!("copy_file_range ends {} bytes early", length - copied),
            count => copied += count,
        }
    }
}
