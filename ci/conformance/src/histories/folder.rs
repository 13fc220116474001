//! Calls on a real folder, and what they answer.
//!
//! Relies on a thread that shares neither descriptors nor its working directory with others, and that is root: it becomes
//! the caller for each call. Descriptors are found by their slots.

use super::answer::{Answer, Look, Outcome, Seen};
use super::call::{Action, Call, Place, Slot, Target, Text, Time, USERS, User};
use crate::Mapping;
use rustix::fs::{
    self, AtFlags, CWD, FileType, FlockOperation, Gid, Mode, OFlags, SeekFrom, Statx, StatxFlags, Timespec, Timestamps,
    Uid,
};
use rustix::io::{self as rio, ReadWriteFlags};
use rustix::thread as caller;
use shoal_types::{Errno, FileKind, LockMode};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{IoSlice, Result};
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::thread::yield_now;
use std::time::{Duration, Instant};

pub struct Folder {
    base: OwnedFd,
    open: BTreeMap<Slot, OwnedFd>,
    ground: Ground,
}

/// Where a side of a history happens.
#[derive(Clone)]
pub struct Ground {
    pub path: PathBuf,
    /// Whether a file synced is worth the time: not where nobody doubts it.
    pub syncs: bool,
    /// Whether another mount changes it too.
    pub shared: bool,
}

impl Folder {
    /// The folder is there.
    pub fn new(ground: Ground) -> Self {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let base = fs::open(&ground.path, flags, Mode::empty()).expect("the folder can be opened");
        Folder { base, open: BTreeMap::new(), ground }
    }

    /// Makes the call, or leaves it, and looks at what it was about. It names no descriptor that isn't there.
    pub fn call(&mut self, call: &Call, made: bool) -> Outcome {
        let shared = self.ground.shared;
        let answer = made.then(|| patiently(shared, || self.answer(call)).map_err(Errno::from));
        let looks = call.action.watched().iter().map(|target| self.look(target)).collect();
        let opened = call.action.new_slot().and_then(|slot| self.open.get(&slot)).map(|file| {
            let (process, thread) = (std::process::id(), rustix::thread::gettid().as_raw_nonzero());
            PathBuf::from(format!("/proc/{process}/task/{thread}/fd/{}", file.as_raw_fd()))
        });
        Outcome { answer, opened, looks }
    }

    fn answer(&mut self, call: &Call) -> Result<Answer> {
        for place in call.action.places() {
            self.stand_at(place)?;
        }
        become_user(&USERS[call.user as usize]);
        let answer = self.act(&call.action);
        become_root();
        answer
    }

    fn act(&mut self, action: &Action) -> Result<Answer> {
        use Action::*;
        match action {
            Open { slot, place, flags, mode } => {
                let file = fs::open(&*place.path, *flags | OFlags::CLOEXEC, mode_of(*mode))?;
                self.open.insert(*slot, file);
                Ok(Answer::Done)
            }
            Close { slot } => {
                let file = self.open.remove(slot).expect("histories close what is open");
                close(file)?;
                Ok(Answer::Done)
            }
            Duplicate { slot, to } => {
                let copy = rio::fcntl_dupfd_cloexec(self.file(*slot), 0)?;
                self.open.insert(*to, copy);
                Ok(Answer::Done)
            }
            MakeNode { place, kind, mode, device } => {
                let device = fs::makedev(device >> 8, device & 0xff);
                done(fs::mknodat(CWD, &*place.path, file_type(*kind), mode_of(*mode), device))
            }
            MakeDirectory { place, mode } => done(fs::mkdirat(CWD, &*place.path, mode_of(*mode))),
            Remove { place } => done(fs::unlinkat(CWD, &*place.path, AtFlags::empty())),
            RemoveDirectory { place } => done(fs::unlinkat(CWD, &*place.path, AtFlags::REMOVEDIR)),
            Rename { from, to, flags } => {
                done(fs::renameat_with(self.directory(from), &*from.path, self.directory(to), &*to.path, *flags))
            }
            Link { from, to, follow } => {
                let flags = if *follow { AtFlags::SYMLINK_FOLLOW } else { AtFlags::empty() };
                done(fs::linkat(self.directory(from), &*from.path, self.directory(to), &*to.path, flags))
            }
            LinkOpen { slot, to } => done(fs::linkat(self.file(*slot), "", CWD, &*to.path, AtFlags::EMPTY_PATH)),
            Symlink { target, place } => done(fs::symlinkat(&*target.0, CWD, &*place.path)),
            ReadLink { place } => Ok(Answer::Bytes(Text(fs::readlinkat(CWD, &*place.path, Vec::new())?.into_bytes()))),
            SetMode { target, mode } => done(match target {
                Target::Path { place, .. } => fs::chmodat(CWD, &*place.path, mode_of(*mode), AtFlags::empty()),
                Target::Open(slot) => fs::fchmod(self.file(*slot), mode_of(*mode)),
            }),
            SetOwner { target, uid, gid } => {
                let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
                done(match target {
                    Target::Path { place, follow } => fs::chownat(CWD, &*place.path, uid, gid, at_flags(*follow)),
                    Target::Open(slot) => fs::fchown(self.file(*slot), uid, gid),
                })
            }
            SetTimes { target, accessed, modified } => {
                let times = Timestamps { last_access: timespec(*accessed), last_modification: timespec(*modified) };
                done(match target {
                    Target::Path { place, follow } => fs::utimensat(CWD, &*place.path, &times, at_flags(*follow)),
                    Target::Open(slot) => fs::futimens(self.file(*slot), &times),
                })
            }
            Truncate { place, length } => {
                let path = c_string(&place.path);
                // SAFETY: a NUL-terminated string that outlives the call.
                status(unsafe { libc::truncate(path.as_ptr(), *length) })
            }
            TruncateOpen { slot, length } => {
                // SAFETY: the call takes no pointers.
                status(unsafe { libc::ftruncate(self.file(*slot).as_raw_fd(), *length) })
            }
            Read { slot, at, length } => self.read(*slot, *at, *length),
            Write { slot, at, data } => {
                let bytes = Aligned::from(&data.bytes());
                let count = match at {
                    Some(at) => rio::pwrite(self.file(*slot), bytes.get(), *at as u64)?,
                    None => rio::write(self.file(*slot), bytes.get())?,
                };
                Ok(Answer::Count(count as u64))
            }
            WriteAtEnd { slot, data } => {
                let bytes = Aligned::from(&data.bytes());
                let slice = [IoSlice::new(bytes.get())];
                let count = rio::pwritev2(self.file(*slot), &slice, 0, ReadWriteFlags::APPEND)?;
                Ok(Answer::Count(count as u64))
            }
            Seek { slot, to } => {
                // SAFETY: the call takes no pointers.
                match unsafe { libc::lseek(self.file(*slot).as_raw_fd(), *to, libc::SEEK_SET) } {
                    -1 => Err(std::io::Error::last_os_error()),
                    place => Ok(Answer::Count(place as u64)),
                }
            }
            Allocate { slot, flags, at, length } => {
                // SAFETY: the call takes no pointers.
                status(unsafe { libc::fallocate(self.file(*slot).as_raw_fd(), flags.bits() as i32, *at, *length) })
            }
            FindData { slot, from } => self.find_data(*slot, *from),
            Copy { from, from_at, to, to_at, length } => {
                let (mut at, mut to_at) = (*from_at, *to_at);
                let (from, to) = (self.file(*from), self.file(*to));
                Ok(Answer::Count(fs::copy_file_range(from, Some(&mut at), to, Some(&mut to_at), *length)? as u64))
            }
            WriteMapped { slot, at, data } => self.write_mapped(*slot, *at, &data.bytes()),
            SetXattr { target, name, value, flags } => done(match target {
                Target::Path { place, follow: true } => fs::setxattr(&*place.path, &*name.0, &value.0, *flags),
                Target::Path { place, follow: false } => fs::lsetxattr(&*place.path, &*name.0, &value.0, *flags),
                Target::Open(slot) => fs::fsetxattr(self.file(*slot), &*name.0, &value.0, *flags),
            }),
            GetXattr { target, name } => {
                let mut value = vec![0; XATTR_BYTES];
                let count = match target {
                    Target::Path { place, follow: true } => fs::getxattr(&*place.path, &*name.0, &mut value),
                    Target::Path { place, follow: false } => fs::lgetxattr(&*place.path, &*name.0, &mut value),
                    Target::Open(slot) => fs::fgetxattr(self.file(*slot), &*name.0, &mut value),
                }?;
                value.truncate(count);
                Ok(Answer::Bytes(Text(value)))
            }
            ListXattrs { target } => Ok(Answer::XattrNames(self.xattr_names(target)?)),
            RemoveXattr { target, name } => done(match target {
                Target::Path { place, follow: true } => fs::removexattr(&*place.path, &*name.0),
                Target::Path { place, follow: false } => fs::lremovexattr(&*place.path, &*name.0),
                Target::Open(slot) => fs::fremovexattr(self.file(*slot), &*name.0),
            }),
            Flock { slot, mode } => done(fs::flock(
                self.file(*slot),
                match mode {
                    Some(LockMode::Shared) => FlockOperation::NonBlockingLockShared,
                    Some(LockMode::Exclusive) => FlockOperation::NonBlockingLockExclusive,
                    None => FlockOperation::NonBlockingUnlock,
                },
            )),
            Lock { slot, by_description, mode, start, length } => {
                let command = if *by_description { libc::F_OFD_SETLK } else { libc::F_SETLK };
                self.record_lock(*slot, command, *mode, *start, *length).map(|_| Answer::Done)
            }
            TestLock { slot, by_description, mode, start, length } => {
                let command = if *by_description { libc::F_OFD_GETLK } else { libc::F_GETLK };
                let told = self.record_lock(*slot, command, Some(*mode), *start, *length)?;
                let mode = match i32::from(told.l_type) {
                    libc::F_UNLCK => return Ok(Answer::Conflict(None)),
                    libc::F_RDLCK => LockMode::Shared,
                    _ => LockMode::Exclusive,
                };
                let start = told.l_start as u64;
                let end = if told.l_len == 0 { 0 } else { start + told.l_len as u64 };
                Ok(Answer::Conflict(Some((mode, start..end))))
            }
            List { place } => {
                let directory = fs::open(&*place.path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
                Ok(names(entries(&directory)?))
            }
            ListOpen { slot } => self.list_open(*slot),
            Access { place, mask } => {
                let path = c_string(&place.path);
                let (mask, flags) = (i32::from(*mask), libc::AT_EACCESS);
                // SAFETY: a NUL-terminated string that outlives the call.
                status(unsafe { libc::syscall(libc::SYS_faccessat2, libc::AT_FDCWD, path.as_ptr(), mask, flags) } as i32)
            }
            Stat { target } => Ok(Answer::Attributes(seen(&self.stat(target)?))),
            Sync { slot, data_only } => match self.ground.syncs {
                true if *data_only => done(fs::fdatasync(self.file(*slot))),
                true => done(fs::fsync(self.file(*slot))),
                // SAFETY: the call takes no pointers; without flags it looks at the descriptor and does nothing.
                false => status(unsafe { libc::sync_file_range(self.file(*slot).as_raw_fd(), 0, 0, 0) }),
            },
            DropPages { slot } => done(fs::fadvise(self.file(*slot), 0, None, fs::Advice::DontNeed)),
        }
    }

    fn read(&self, slot: Slot, at: Option<i64>, length: usize) -> Result<Answer> {
        let mut bytes = Aligned::new(length);
        let count = match at {
            Some(at) => rio::pread(self.file(slot), bytes.get_mut(), at as u64)?,
            None => rio::read(self.file(slot), bytes.get_mut())?,
        };
        Ok(Answer::Bytes(Text(bytes.get()[..count].to_vec())))
    }

    /// The descriptor's own position is left as it was.
    fn find_data(&self, slot: Slot, from: u64) -> Result<Answer> {
        let file = self.file(slot);
        let position = fs::seek(file, SeekFrom::Current(0))?;
        let found = data_ranges(file, from);
        fs::seek(file, SeekFrom::Start(position))?;
        Ok(Answer::Data(found?))
    }

    fn write_mapped(&self, slot: Slot, at: u64, bytes: &[u8]) -> Result<Answer> {
        let file = self.file(slot);
        let stat = fs::fstat(file)?;
        let is_file = FileType::from_raw_mode(stat.st_mode).is_file();
        if !is_file || (stat.st_size as u64) < at + bytes.len() as u64 {
            return Ok(Answer::Count(0));
        }
        let skip = at % PAGE;
        let mut mapping = Mapping::new(file, at - skip, skip as usize + bytes.len(), true)?;
        mapping.write(skip as usize, bytes);
        mapping.sync()?;
        Ok(Answer::Count(bytes.len() as u64))
    }

    fn record_lock(
        &self,
        slot: Slot,
        command: i32,
        mode: Option<LockMode>,
        start: u64,
        length: u64,
    ) -> Result<libc::flock> {
        let kind = match mode {
            Some(LockMode::Shared) => libc::F_RDLCK,
            Some(LockMode::Exclusive) => libc::F_WRLCK,
            None => libc::F_UNLCK,
        };
        let mut lock = libc::flock {
            l_type: kind as i16,
            l_whence: libc::SEEK_SET as i16,
            l_start: start as i64,
            l_len: length as i64,
            l_pid: 0,
        };
        // SAFETY: the commands take a lock, which outlives the call.
        status(unsafe { libc::fcntl(self.file(slot).as_raw_fd(), command, &mut lock) })?;
        Ok(lock)
    }

    fn xattr_names(&self, target: &Target) -> Result<BTreeSet<Vec<u8>>> {
        let mut names = vec![0; XATTR_BYTES];
        let count = match target {
            Target::Path { place, follow: true } => fs::listxattr(&*place.path, &mut names),
            Target::Path { place, follow: false } => fs::llistxattr(&*place.path, &mut names),
            Target::Open(slot) => fs::flistxattr(self.file(*slot), &mut names),
        }?;
        let names = names[..count].split(|byte| *byte == 0);
        Ok(names.filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect())
    }

    fn list_open(&self, slot: Slot) -> Result<Answer> {
        let directory = self.file(slot);
        fs::seek(directory, SeekFrom::Start(0))?;
        let all = entries(directory)?;
        if !all.is_empty() {
            let middle = all.len() / 2;
            // What stands behind an entry is where the next one is found.
            fs::seek(directory, SeekFrom::Start(all[middle].2))?;
            let rest = entries(directory)?;
            assert_eq!(rest, all[middle + 1..], "a listing goes on where it was");
        }
        Ok(names(all))
    }

    fn look(&self, target: &Target) -> Option<Look> {
        if let Target::Path { place, .. } = target {
            self.stand_at(place).ok()?;
        }
        let stat = patiently(self.ground.shared, || self.stat(target)).ok()?;
        let time = |time: fs::StatxTimestamp| (time.tv_sec, time.tv_nsec);
        let (modified, changed) = (time(stat.stx_mtime), time(stat.stx_ctime));
        Some(Look { number: stat.stx_ino, seen: seen(&stat), modified, changed })
    }

    fn stat(&self, target: &Target) -> Result<Statx> {
        let wanted = StatxFlags::BASIC_STATS;
        Ok(match target {
            Target::Path { place, follow } => fs::statx(CWD, &*place.path, at_flags(*follow), wanted),
            Target::Open(slot) => match self.open.get(slot) {
                Some(file) => fs::statx(file, "", AtFlags::EMPTY_PATH, wanted),
                None => Err(rio::Errno::BADF),
            },
        }?)
    }

    fn stand_at(&self, place: &Place) -> Result<()> {
        Ok(rustix::process::fchdir(self.directory(place))?)
    }

    fn directory(&self, place: &Place) -> BorrowedFd<'_> {
        place.from.map_or(self.base.as_fd(), |slot| self.file(slot).as_fd())
    }

    fn file(&self, slot: Slot) -> &OwnedFd {
        &self.open[&slot]
    }
}

/// A directory that another mount has moved can't be reached by its new name while this mount moves anything between
/// directories, as other histories do: the kernel answers ESTALE, and the walk has had no effect (docs/posix.md).
pub fn patiently<T>(shared: bool, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let is_stale = |error: &std::io::Error| error.raw_os_error() == Some(libc::ESTALE);
    let deadline = Instant::now() + MOVE_TIME_MAX;
    loop {
        match attempt() {
            Err(error) if shared && is_stale(&error) && Instant::now() < deadline => yield_now(),
            end => return end,
        }
    }
}

/// Longer than any move takes; what stays stale is stale.
const MOVE_TIME_MAX: Duration = Duration::from_secs(2);

/// Ranges of data from `from` to the end of the file; ENXIO where it ends before.
pub fn data_ranges(file: impl AsFd, from: u64) -> Result<Vec<Range<u64>>> {
    let mut ranges = Vec::new();
    let mut position = from;
    loop {
        let data = match fs::seek(&file, SeekFrom::Data(position)) {
            Ok(data) => data,
            Err(rio::Errno::NXIO) if position != from || fs::fstat(&file)?.st_size as u64 > from => return Ok(ranges),
            Err(error) => return Err(error.into()),
        };
        let hole = fs::seek(&file, SeekFrom::Hole(data))?;
        ranges.push(data..hole);
        position = hole;
    }
}

/// Names with their kinds, and the place behind each; not "." and "..".
pub fn entries(directory: &OwnedFd) -> Result<Vec<(Vec<u8>, FileKind, u64)>> {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut listing = fs::RawDir::new(directory, &mut buffer);
    let mut entries = Vec::new();
    while let Some(entry) = listing.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            let kind = FileKind::from_mode(entry.file_type().as_raw_mode()).expect("a directory tells kinds");
            entries.push((name.to_vec(), kind, entry.next_entry_cookie()));
        }
    }
    Ok(entries)
}

fn names(entries: Vec<(Vec<u8>, FileKind, u64)>) -> Answer {
    let count = entries.len();
    let names: BTreeMap<_, _> = entries.into_iter().map(|(name, kind, _)| (name, kind)).collect();
    assert_eq!(names.len(), count, "no name is listed twice");
    Answer::Names(names)
}

pub fn seen(stat: &Statx) -> Seen {
    let kind = FileKind::from_mode(u32::from(stat.stx_mode)).expect("every inode is of a kind");
    Seen {
        kind,
        mode: stat.stx_mode & 0o7777,
        uid: stat.stx_uid,
        gid: stat.stx_gid,
        nlink: stat.stx_nlink,
        rdev: stat.stx_rdev_major << 8 | stat.stx_rdev_minor,
        length: (kind != FileKind::Directory).then_some(stat.stx_size),
    }
}

pub fn become_root() {
    let root = (Some(Uid::ROOT), Some(Gid::ROOT));
    caller::set_thread_res_uid(None::<Uid>, root.0, None::<Uid>).expect("root comes back");
    caller::set_thread_res_gid(None::<Gid>, root.1, None::<Gid>).expect("root has any group");
    caller::set_thread_groups(&[]).expect("root has any groups");
}

fn become_user(user: &User) {
    rustix::process::umask(mode_of(user.umask));
    if user.uid == 0 {
        return;
    }
    let groups: Vec<Gid> = user.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    caller::set_thread_groups(&groups).expect("root has any groups");
    caller::set_thread_res_gid(None::<Gid>, Some(Gid::from_raw(user.gid)), None::<Gid>).expect("root has any group");
    caller::set_thread_res_uid(None::<Uid>, Some(Uid::from_raw(user.uid)), None::<Uid>).expect("root becomes anybody");
}

fn close(file: OwnedFd) -> Result<()> {
    use std::os::fd::IntoRawFd;
    // SAFETY: the descriptor is ours, and closed once.
    status(unsafe { libc::close(file.into_raw_fd()) }).map(drop)
}

fn at_flags(follow: bool) -> AtFlags {
    if follow { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW }
}

fn mode_of(mode: u16) -> Mode {
    Mode::from_raw_mode(u32::from(mode))
}

fn file_type(kind: FileKind) -> FileType {
    FileType::from_raw_mode(kind.mode_bits())
}

fn timespec(time: Time) -> Timespec {
    match time {
        Time::Now => Timespec { tv_sec: 0, tv_nsec: fs::UTIME_NOW },
        Time::Keep => Timespec { tv_sec: 0, tv_nsec: fs::UTIME_OMIT },
        Time::At(seconds, nanoseconds) => Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() },
    }
}

fn done(result: rio::Result<()>) -> Result<Answer> {
    Ok(result.map(|()| Answer::Done)?)
}

fn status(status: i32) -> Result<Answer> {
    if status == -1 { Err(std::io::Error::last_os_error()) } else { Ok(Answer::Done) }
}

fn c_string(path: &[u8]) -> std::ffi::CString {
    std::ffi::CString::new(path).expect("paths of histories have no NUL")
}

/// Memory that O_DIRECT takes everywhere.
struct Aligned {
    memory: Vec<u8>,
    skip: usize,
    length: usize,
}

impl Aligned {
    fn new(length: usize) -> Self {
        let memory = vec![0; length + PAGE as usize];
        let skip = memory.as_ptr().align_offset(PAGE as usize);
        Aligned { memory, skip, length }
    }

    fn from(bytes: &[u8]) -> Self {
        let mut aligned = Aligned::new(bytes.len());
        aligned.get_mut().copy_from_slice(bytes);
        aligned
    }

    fn get(&self) -> &[u8] {
        &self.memory[self.skip..self.skip + self.length]
    }

    fn get_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.skip..self.skip + self.length]
    }
}

const PAGE: u64 = 4096;
/// More than a history gives an inode.
const XATTR_BYTES: usize = 8192;
