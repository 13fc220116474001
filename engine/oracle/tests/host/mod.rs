//! A temporary directory of this machine that answers the same questions as the oracle, by the same inode numbers.
//!
//! Every inode a test speaks of is held by an `O_PATH` handle, so it can be named after its last name is gone.

use rustix::fs::{self, AtFlags, CWD, FallocateFlags, FileType, Gid, Mode, OFlags, Stat};
use rustix::io::Errno as HostErrno;
use shoal_oracle::{NodeDescription, RenameFlags, content_hash};
use shoal_types::{Errno, FileKind, FsResult, Ino, Name};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub struct Host {
    root: TempDir,
    handles: BTreeMap<Ino, OwnedFd>,
    can_whiteout: bool,
    can_change_owner: bool,
}

impl Host {
    pub fn new() -> Self {
        // Modes arrive with the umask applied, so the host must not apply its own.
        rustix::process::umask(Mode::empty());
        let root = TempDir::new().expect("a temporary directory");
        fs::chown(root.path(), None, Some(rustix::process::getegid())).expect("the owner may set its own group");
        fs::chmod(root.path(), Mode::from_raw_mode(0o755)).expect("the owner may set the mode");
        let handle = hold(CWD, root.path().as_os_str().as_bytes()).expect("the directory was just made");
        let can_whiteout = try_whiteout();
        let can_change_owner = rustix::process::geteuid().is_root();
        Host { root, handles: BTreeMap::from([(Ino::ROOT, handle)]), can_whiteout, can_change_owner }
    }

    pub fn can_whiteout(&self) -> bool {
        self.can_whiteout
    }

    pub fn can_change_owner(&self) -> bool {
        self.can_change_owner
    }

    pub fn owner(&self) -> (u32, u32) {
        (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
    }

    pub fn create(
        &mut self,
        parent: Ino,
        name: &Name,
        ino: Ino,
        kind: FileKind,
        mode: u16,
        target: &[u8],
    ) -> FsResult<()> {
        let (directory, name) = (&self.handles[&parent], name.as_bytes());
        let mode = Mode::from_raw_mode(u32::from(mode));
        match kind {
            FileKind::Regular => {
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
                fs::openat(directory, name, flags, mode).map(drop).map_err(errno)?;
            }
            FileKind::Directory => fs::mkdirat(directory, name, mode).map_err(errno)?,
            FileKind::Symlink => fs::symlinkat(target, directory, name).map_err(errno)?,
            FileKind::Fifo => fs::mknodat(directory, name, FileType::Fifo, mode, 0).map_err(errno)?,
            other => panic!("the comparison makes no {other:?}"),
        }
        let handle = hold(directory, name).expect("it was just created");
        self.handles.insert(ino, handle);
        Ok(())
    }

    /// A file without a name. Only who has it open by its own descriptor can name it, so that is what is held.
    pub fn create_nameless(&mut self, directory: Ino, ino: Ino, mode: u16) -> FsResult<()> {
        let mode = Mode::from_raw_mode(u32::from(mode));
        let file = fs::openat(&self.handles[&directory], ".", OFlags::TMPFILE | OFlags::RDWR, mode).map_err(errno)?;
        self.handles.insert(ino, file);
        Ok(())
    }

    pub fn fallocate(&self, ino: Ino, flags: FallocateFlags, offset: u64, length: u64) -> FsResult<()> {
        let file = File::options().write(true).open(self.by_handle(ino))?;
        fs::fallocate(file, flags, offset, length).map_err(errno)
    }

    pub fn copy_range(&self, from: (Ino, u64), to: (Ino, u64), length: usize) -> FsResult<u64> {
        let source = File::open(self.by_handle(from.0))?;
        let target = File::options().write(true).open(self.by_handle(to.0))?;
        let (mut at, mut to_at) = (from.1, to.1);
        let copied = fs::copy_file_range(source, Some(&mut at), target, Some(&mut to_at), length);
        copied.map(|count| count as u64).map_err(errno)
    }

    pub fn link(&self, ino: Ino, parent: Ino, name: &Name) -> FsResult<()> {
        fs::linkat(CWD, self.by_handle(ino), &self.handles[&parent], name.as_bytes(), AtFlags::SYMLINK_FOLLOW)
            .map_err(errno)
    }

    pub fn unlink(&self, parent: Ino, name: &Name) -> FsResult<()> {
        fs::unlinkat(&self.handles[&parent], name.as_bytes(), AtFlags::empty()).map_err(errno)
    }

    pub fn rmdir(&self, parent: Ino, name: &Name) -> FsResult<()> {
        fs::unlinkat(&self.handles[&parent], name.as_bytes(), AtFlags::REMOVEDIR).map_err(errno)
    }

    pub fn rename(&self, old: Ino, old_name: &Name, new: Ino, new_name: &Name, flags: RenameFlags) -> FsResult<()> {
        let (old, new) = (&self.handles[&old], &self.handles[&new]);
        fs::renameat_with(old, old_name.as_bytes(), new, new_name.as_bytes(), host_flags(flags)).map_err(errno)
    }

    pub fn truncate(&self, ino: Ino, length: u64) -> FsResult<()> {
        // Opening a fifo would wait for its other end, and a link would be followed; neither has content to cut.
        match self.kind(ino) {
            FileKind::Regular => {
                let file = File::options().write(true).open(self.by_handle(ino))?;
                Ok(file.set_len(length)?)
            }
            FileKind::Directory => Err(File::options()
                .write(true)
                .open(self.by_handle(ino))
                .expect_err("no one writes directories")
                .into()),
            _ => Err(Errno::EINVAL),
        }
    }

    pub fn write(&self, ino: Ino, offset: u64, bytes: &[u8]) -> FsResult<()> {
        let file = File::options().write(true).open(self.by_handle(ino))?;
        Ok(file.write_all_at(bytes, offset)?)
    }

    pub fn read(&self, ino: Ino, offset: u64, length: usize) -> FsResult<Vec<u8>> {
        let file = File::open(self.by_handle(ino))?;
        let mut bytes = vec![0; length];
        let mut done = 0;
        loop {
            match file.read_at(&mut bytes[done..], offset + done as u64)? {
                0 => break,
                count => done += count,
            }
        }
        bytes.truncate(done);
        Ok(bytes)
    }

    pub fn set_attributes(&self, ino: Ino, mode: u16, gid: Option<u32>) -> FsResult<()> {
        let path = self.by_handle(ino);
        if gid.is_some() {
            fs::chownat(CWD, &path, None, gid.map(Gid::from_raw), AtFlags::empty()).map_err(errno)?;
        }
        fs::chmod(&path, Mode::from_raw_mode(u32::from(mode))).map_err(errno)
    }

    pub fn close(&mut self, ino: Ino) {
        self.handles.remove(&ino).expect("both sides hold it");
    }

    pub fn nlink(&self, ino: Ino) -> u32 {
        u32::try_from(self.stat(ino).st_nlink).expect("few links")
    }

    /// The same description as `Oracle::tree` gives.
    pub fn tree(&self) -> BTreeMap<Vec<u8>, NodeDescription> {
        let mut paths = vec![PathBuf::new()];
        let mut found = BTreeMap::new();
        while let Some(path) = paths.pop() {
            let full = if path.as_os_str().is_empty() { self.root.path().into() } else { self.root.path().join(&path) };
            let stat = fs::lstat(&full).expect("a listed path exists");
            if kind_of(&stat) == FileKind::Directory {
                let entries = std::fs::read_dir(&full).expect("our directory is readable");
                paths.extend(entries.map(|entry| path.join(entry.expect("our directory is readable").file_name())));
            }
            found.insert(path.as_os_str().as_bytes().to_vec(), (full, stat));
        }
        let mut first_paths = BTreeMap::new();
        let described = found.iter().map(|(path, (full, stat))| {
            let first_path = first_paths.entry(stat.st_ino).or_insert_with(|| path.clone()).clone();
            (path.clone(), describe(full, stat, first_path))
        });
        described.collect()
    }

    fn by_handle(&self, ino: Ino) -> String {
        format!("/proc/self/fd/{}", self.handles[&ino].as_raw_fd())
    }

    fn stat(&self, ino: Ino) -> Stat {
        fs::fstat(&self.handles[&ino]).expect("a held inode exists")
    }

    fn kind(&self, ino: Ino) -> FileKind {
        kind_of(&self.stat(ino))
    }
}

fn describe(full: &Path, stat: &Stat, first_path: Vec<u8>) -> NodeDescription {
    let kind = kind_of(stat);
    let length = match kind {
        FileKind::Directory => std::fs::read_dir(full).expect("our directory is readable").count() as u64,
        _ => stat.st_size as u64,
    };
    NodeDescription {
        kind,
        mode: (stat.st_mode & 0o7777) as u16,
        uid: stat.st_uid,
        gid: stat.st_gid,
        rdev: stat.st_rdev as u32,
        nlink: stat.st_nlink as u32,
        length,
        content_hash: (kind == FileKind::Regular)
            .then(|| content_hash(&std::fs::read(full).expect("our file is readable"))),
        target: (kind == FileKind::Symlink)
            .then(|| std::fs::read_link(full).expect("our link is readable").as_os_str().as_bytes().to_vec()),
        first_path,
    }
}

fn try_whiteout() -> bool {
    let place = TempDir::new().expect("a temporary directory");
    File::create(place.path().join("old")).expect("an empty directory takes a file");
    let flags = fs::RenameFlags::WHITEOUT;
    let possible = fs::renameat_with(CWD, place.path().join("old"), CWD, place.path().join("new"), flags).is_ok();
    // The host gives them the caller as owner, so only root's are those of the oracle.
    possible && rustix::process::geteuid().is_root()
}

fn host_flags(flags: RenameFlags) -> fs::RenameFlags {
    let mut host = fs::RenameFlags::empty();
    host.set(fs::RenameFlags::NOREPLACE, flags.no_replace);
    host.set(fs::RenameFlags::EXCHANGE, flags.exchange);
    host.set(fs::RenameFlags::WHITEOUT, flags.whiteout.is_some());
    host
}

fn hold(directory: impl std::os::fd::AsFd, name: &[u8]) -> Result<OwnedFd, HostErrno> {
    fs::openat(directory, name, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty())
}

fn kind_of(stat: &Stat) -> FileKind {
    FileKind::from_mode(stat.st_mode).expect("the host knows the same kinds")
}

fn errno(error: HostErrno) -> Errno {
    Errno(error.raw_os_error())
}
