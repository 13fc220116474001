//! Changes by chance, among others who change the same few names at the same time.
//!
//! Nobody can tell what a call will answer then, but that it's a refusal of POSIX. What is left in the end is for everybody
//! to agree on.

use rustix::fs::{self, AtFlags, CWD, Mode, OFlags, RenameFlags, XattrFlags};
use rustix::io::Errno;
use shoal_kv::Random;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

pub struct Scramble {
    folder: PathBuf,
    random: Random,
}

impl Scramble {
    pub fn new(folder: &Path, seed: u64) -> Self {
        Scramble { folder: folder.into(), random: Random::new(seed) }
    }

    /// Panics where a call is refused for a reason that a change by others can't give.
    pub fn run(&mut self, calls: u64) {
        for number in 0..calls {
            let (from, to) = (self.path(), self.path());
            let what = self.random.below(12);
            match self.change(what, &from, &to) {
                Ok(()) => {}
                Err(error) if REFUSALS.contains(&error) => {}
                Err(error) => panic!("call {number}, change {what} of {from:?}, {to:?}: {error}"),
            }
        }
    }

    fn change(&mut self, what: u64, from: &Path, to: &Path) -> Result<(), Errno> {
        match what {
            0 | 1 => fs::mkdirat(CWD, from, Mode::from_raw_mode(0o755)),
            2 | 3 => self.write(from),
            4 | 5 => {
                let flags = [RenameFlags::empty(), RenameFlags::NOREPLACE, RenameFlags::EXCHANGE];
                fs::renameat_with(CWD, from, CWD, to, flags[self.random.below(3) as usize])
            }
            6 => fs::linkat(CWD, from, CWD, to, AtFlags::empty()),
            7 => fs::unlinkat(CWD, from, AtFlags::empty()),
            8 => fs::unlinkat(CWD, from, AtFlags::REMOVEDIR),
            9 => fs::symlinkat(to.file_name().expect("a path ends with a name"), CWD, from),
            10 => fs::chmodat(CWD, from, Mode::from_raw_mode(self.random.below(0o1000) as u32), AtFlags::empty()),
            _ => fs::lsetxattr(from, "user.a", &self.random.next_u64().to_le_bytes(), XattrFlags::empty()),
        }
    }

    fn write(&mut self, path: &Path) -> Result<(), Errno> {
        let truncate = if self.random.chance(0.3) { OFlags::TRUNC } else { OFlags::empty() };
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC | truncate;
        let file: File = fs::openat(CWD, path, flags, Mode::from_raw_mode(0o644))?.into();
        let bytes = vec![self.random.next_u64() as u8; 1 + self.random.below(20_000) as usize];
        let at = self.random.below(30_000);
        file.write_all_at(&bytes, at).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }

    /// One of 155.
    fn path(&mut self) -> PathBuf {
        let mut path = self.folder.clone();
        for _ in 0..=self.random.below(3) {
            path.push(["a", "b", "c", "d", "e"][self.random.below(5) as usize]);
        }
        path
    }
}

/// What names that come and go are refused for.
const REFUSALS: [Errno; 9] = [
    Errno::NOENT,
    Errno::EXIST,
    Errno::NOTDIR,
    Errno::ISDIR,
    Errno::NOTEMPTY,
    Errno::INVAL,
    Errno::LOOP,
    Errno::PERM,
    Errno::STALE,
];
