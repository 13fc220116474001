//! Chooses the next operation: few names and mostly living inodes, so that operations meet each other all the time.

use shoal_kv::Random;
use shoal_metadata::{
    Create, CreateNameless, Fallocate, Link, MetaOp, NoteAccesses, RemoveTree, RemoveXattr, Rename, Rmdir,
    SetAttributes, SetFlags, SetXattr, Truncate, Unlink, WriteInline,
};
use shoal_oracle::Oracle;
use shoal_types::{
    Acl, AclEntry, AclTag, FileKind, Ino, InodeFlags, Name, SessionId, Timestamp, Whiteout, XattrMode, XattrName,
};

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
        match self.random.below(37) {
            0..=7 => MetaOp::Create(self.create(parent, name, now)),
            8 | 9 => MetaOp::Link(Link { ino: self.ino(oracle), parent, name, session, now }),
            10..=12 => MetaOp::Unlink(Unlink { parent, name, open, session, now }),
            13 | 14 => MetaOp::Rmdir(Rmdir { parent, name, open, session, now }),
            15..=19 => MetaOp::Rename(self.rename(oracle, open, now)),
            20 => MetaOp::SetAttributes(self.set_attributes(oracle, now)),
            24 => MetaOp::NoteAccesses(NoteAccesses {
                accesses: (0..1 + self.below(3)).map(|_| (self.ino(oracle), now)).collect(),
                session,
            }),
            21 | 25..=28 => MetaOp::SetXattr(self.set_xattr(oracle, now)),
            22 => {
                MetaOp::RemoveXattr(RemoveXattr { ino: self.xattr_ino(oracle), name: self.xattr_name(), session, now })
            }
            23 => MetaOp::Truncate(Truncate {
                ino: self.ino(oracle),
                length: self.random.below(CONTENT_BYTES),
                session,
                now,
            }),
            29 => MetaOp::Fallocate(self.fallocate(oracle, now)),
            30 => MetaOp::CreateNameless(self.create_nameless(parent, now)),
            31 => {
                let ino = oracle.lookup(parent, &name).map_or(Ino::ROOT, |found| found.ino);
                MetaOp::RemoveTree(RemoveTree { parent, name, ino, keep: false, session, now })
            }
            32..=34 => MetaOp::SetFlags(self.set_flags(oracle, now)),
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
            umask: [0, 0o022, 0o077, 0o777][self.below(4)],
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
        let (ino, mode, umask) = (self.new_ino(), self.mode(), [0, 0o022][self.below(2)]);
        CreateNameless { directory, ino, mode, umask, uid, gid, session: self.session, now }
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
            whiteout: whiteout.then(|| Whiteout { ino: self.new_ino(), uid: 3, gid: 4 }),
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
            drop_privileges: self.random.chance(0.3),
            exempt: false,
            despite: [0, 0, InodeFlags::APPEND_ONLY.0].map(InodeFlags)[self.below(3)],
            session: self.session,
            now,
        }
    }

    /// Mostly off again, so that much goes on.
    fn set_flags(&mut self, oracle: &Oracle, now: Timestamp) -> SetFlags {
        let notes =
            InodeFlags(self.random.next_u64() as u32).only(InodeFlags::BY_USERS.without(InodeFlags::PROTECTION));
        let protection = [InodeFlags::IMMUTABLE, InodeFlags::APPEND_ONLY, InodeFlags::PROTECTION];
        let protected = oracle.inodes().into_iter().find(|ino| oracle.refuse(*ino, InodeFlags::PROTECTION).is_err());
        let (ino, flags) = match protected {
            Some(ino) if self.random.chance(0.5) => (ino, InodeFlags::default()),
            Some(ino) if self.random.chance(0.3) => (ino, InodeFlags(notes.0 | InodeFlags::IMMUTABLE.0)),
            _ if self.random.chance(0.5) => (self.ino(oracle), protection[self.below(3)]),
            _ => (self.ino(oracle), notes),
        };
        let decided = [InodeFlags::BY_USERS, InodeFlags::BY_EXTENDED][self.below(2)];
        SetFlags { ino, flags, decided, session: self.session, now }
    }

    fn set_xattr(&mut self, oracle: &Oracle, now: Timestamp) -> SetXattr {
        let name = self.xattr_name();
        // Few bytes, or so many that a second such value meets a limit.
        let bytes = [0, 1, 300, XattrName::VALUE_BYTES_MAX, XattrName::VALUE_BYTES_MAX + 1][self.below(5)];
        let value = match name.is_acl() {
            true => self.acl(),
            false => vec![self.random.next_u64() as u8; bytes],
        };
        SetXattr {
            ino: self.xattr_ino(oracle),
            name,
            value,
            mode: [XattrMode::Any, XattrMode::Any, XattrMode::Create, XattrMode::Replace][self.below(4)],
            drop_setgid: self.random.chance(0.3),
            session: self.session,
            now,
        }
    }

    /// Few have them, so that some have many.
    fn xattr_ino(&mut self, oracle: &Oracle) -> Ino {
        let oldest = oracle.inodes().into_iter().nth(self.below(6));
        if self.random.chance(0.5) { oldest.unwrap_or(Ino::ROOT) } else { self.ino(oracle) }
    }

    pub fn xattr_name(&mut self) -> XattrName {
        let acls = [XattrName::ACCESS_ACL, XattrName::DEFAULT_ACL];
        let names = ["user.a", "user.b", "trusted.a", XattrName::CAPABILITY].into_iter().chain(acls);
        let names: Vec<&str> = names.collect();
        XattrName::new(names[self.below(names.len())].as_bytes()).unwrap()
    }

    /// Often with nobody named, sometimes empty, sometimes none at all.
    fn acl(&mut self) -> Vec<u8> {
        let mut entry = |tag, id| AclEntry { tag, permissions: self.random.below(8) as u16, id };
        let mut entries = vec![entry(AclTag::Owner, 0), entry(AclTag::OwningGroup, 0), entry(AclTag::Other, 0)];
        let (user, group, mask) = (entry(AclTag::User, 5), entry(AclTag::Group, 6), entry(AclTag::Mask, 0));
        match self.random.below(8) {
            0 | 1 => {}
            2 | 3 => entries.extend([user, mask]),
            4 => entries.extend([mask]),
            5 => entries.extend([user, group, mask]),
            6 => return vec![2, 0, 0, 0],
            _ => return vec![2, 0, 0, 0, 1],
        }
        entries.sort_by_key(|entry| entry.tag);
        Acl::new(entries).unwrap().to_bytes()
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
            staging: Default::default(),
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

    pub fn new_ino(&mut self) -> Ino {
        self.next_ino += 1;
        Ino(self.next_ino - 1)
    }

    /// Times of operations never go back.
    pub fn tick(&mut self) -> Timestamp {
        self.nanoseconds += self.random.below(3_000_000_000);
        Timestamp::from_nanos(self.nanoseconds)
    }
}

/// Files stay within what one inline record takes.
const CONTENT_BYTES: u64 = 2_000;
