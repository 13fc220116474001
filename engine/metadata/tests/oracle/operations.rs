//! Chooses the next operation: few names and mostly living inodes, so that operations meet each other all the time.

use shoal_kv::Random;
use shoal_metadata::{
    Create, CreateNameless, Fallocate, Link, MetaOp, Rename, Rmdir, SetAttributes, Truncate, Unlink, WriteInline,
};
use shoal_oracle::Oracle;
use shoal_types::{FileKind, Ino, Name, SessionId, Timestamp};

pub struct Chooser {
    pub random: Random,
    pub session: SessionId,
    /// The next inode number to give out.
    pub next_ino: u64,
    pub nanoseconds: u64,
}

impl Chooser {
    pub fn operation(&mut self, oracle: &Oracle, open: &[Ino]) -> MetaOp {
        let (session, now, open) = (self.session, self.tick(), open.to_vec());
        let (parent, name) = (self.directory(oracle), self.name());
        match self.random.below(26) {
            0..=7 => MetaOp::Create(self.create(parent, name, now)),
            8 | 9 => MetaOp::Link(Link { ino: self.ino(oracle), parent, name, session, now }),
            10..=12 => MetaOp::Unlink(Unlink { parent, name, open, session, now }),
            13 | 14 => MetaOp::Rmdir(Rmdir { parent, name, open, session, now }),
            15..=19 => MetaOp::Rename(self.rename(oracle, open, now)),
            20 => MetaOp::SetAttributes(self.set_attributes(oracle, now)),
            21 => MetaOp::Truncate(Truncate {
                ino: self.ino(oracle),
                length: self.random.below(CONTENT_BYTES),
                session,
                now,
            }),
            22 => MetaOp::Fallocate(self.fallocate(oracle, now)),
            23 => MetaOp::CreateNameless(self.create_nameless(parent, now)),
            _ => MetaOp::WriteInline(self.write(oracle, now)),
        }
    }

    fn create(&mut self, parent: Ino, name: Name, now: Timestamp) -> Create {
        use FileKind::*;
        let kinds = [Regular, Regular, Directory, Directory, Directory, Symlink, Fifo, Socket, CharDevice, BlockDevice];
        let kind = kinds[self.below(kinds.len())];
        let target_bytes = [0, 1, 20, 4095, 4096][self.below(5)];
        Create {
            parent,
            name,
            ino: self.new_ino(),
            kind,
            mode: self.mode(),
            uid: self.random.below(3) as u32,
            gid: self.random.below(3) as u32,
            rdev: self.random.below(3) as u32,
            target: if kind == Symlink { vec![b't'; target_bytes] } else { Vec::new() },
            session: self.session,
            now,
        }
    }

    fn create_nameless(&mut self, directory: Ino, now: Timestamp) -> CreateNameless {
        let (uid, gid) = (self.random.below(3) as u32, self.random.below(3) as u32);
        CreateNameless { directory, ino: self.new_ino(), mode: self.mode(), uid, gid, session: self.session, now }
    }

    fn fallocate(&mut self, oracle: &Oracle, now: Timestamp) -> Fallocate {
        let (start, length) = (self.random.below(CONTENT_BYTES), self.random.below(CONTENT_BYTES));
        let (hole, grow) = (self.random.chance(0.7), self.random.chance(0.5));
        Fallocate {
            ino: self.ino(oracle),
            start,
            end: if hole { start + length } else { start },
            length_min: if grow { start + length } else { 0 },
            session: self.session,
            now,
        }
    }

    fn rename(&mut self, oracle: &Oracle, open: Vec<Ino>, now: Timestamp) -> Rename {
        let [no_replace, exchange, whiteout] = [0.1, 0.25, 0.1].map(|rate| self.random.chance(rate));
        Rename {
            old_parent: self.directory(oracle),
            old_name: self.name(),
            new_parent: self.directory(oracle),
            new_name: self.name(),
            no_replace,
            exchange,
            whiteout: whiteout.then(|| self.new_ino()),
            open,
            session: self.session,
            now,
        }
    }

    fn set_attributes(&mut self, oracle: &Oracle, now: Timestamp) -> SetAttributes {
        let far = Timestamp::new(self.random.below(2_000) as i64 - 500, 5);
        SetAttributes {
            ino: self.ino(oracle),
            mode: self.random.chance(0.5).then(|| self.mode()),
            uid: self.random.chance(0.3).then_some(7),
            gid: self.random.chance(0.3).then_some(8),
            atime: self.random.chance(0.3).then_some(far),
            mtime: self.random.chance(0.5).then_some(far),
            exempt: false,
            session: self.session,
            now,
        }
    }

    fn write(&mut self, oracle: &Oracle, now: Timestamp) -> WriteInline {
        let patches: Vec<_> = (0..1 + self.below(3))
            .map(|_| {
                let bytes = vec![self.random.next_u64() as u8; 1 + self.below(200)];
                (self.random.below(CONTENT_BYTES), bytes)
            })
            .collect();
        WriteInline {
            ino: self.ino(oracle),
            patches,
            length_min: 0,
            inline_max: 4096,
            mtime: now,
            exempt: false,
            session: self.session,
        }
    }

    /// Mostly one that lives; sometimes one that is gone or never was.
    pub fn ino(&mut self, oracle: &Oracle) -> Ino {
        let living = oracle.inodes();
        match self.random.chance(0.9) {
            true => living[self.below(living.len())],
            false => Ino(1 + self.random.below(self.next_ino + 1)),
        }
    }

    /// Mostly a directory.
    pub fn directory(&mut self, oracle: &Oracle) -> Ino {
        if self.random.chance(0.05) {
            return self.ino(oracle);
        }
        let directories: Vec<_> =
            oracle.inodes().into_iter().filter(|ino| oracle.read_directory(*ino).is_ok()).collect();
        directories[self.below(directories.len())]
    }

    pub fn name(&mut self) -> Name {
        match self.random.below(20) {
            0 => Name::new(&[0xff; Name::BYTES_MAX]).unwrap(),
            other => Name::new(&[b'a' + (other % 5) as u8]).unwrap(),
        }
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.random.below(bound as u64) as usize
    }

    /// Sometimes with the setgid bit.
    fn mode(&mut self) -> u16 {
        [0o755, 0o644, 0o2775, 0o4711, 0o1777][self.below(5)]
    }

    fn new_ino(&mut self) -> Ino {
        self.next_ino += 1;
        Ino(self.next_ino - 1)
    }

    /// Times of operations never go back.
    fn tick(&mut self) -> Timestamp {
        self.nanoseconds += self.random.below(3_000_000_000);
        Timestamp::from_nanos(self.nanoseconds)
    }
}

/// Files stay within what one inline record takes.
const CONTENT_BYTES: u64 = 2_000;
