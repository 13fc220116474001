//! The calls that few programs make: on a mount and in a plain folder of this machine, answer by answer.
//!
//! Each probe prints what it was answered. Where the mount says something else, that stands here with the reason.

use shoal_ci_conformance::{Twins, is_root};
use shoal_ci_testbed::Bed;
use std::ffi::CString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// A probe by name; `mount` is what the mount answers where that is not what the plain folder does, and why.
struct Probe {
    name: &'static str,
    run: fn(&Path) -> String,
    mount: Option<(&'static str, &'static str)>,
}

const fn same(name: &'static str, run: fn(&Path) -> String) -> Probe {
    Probe { name, run, mount: None }
}

const fn differs(name: &'static str, run: fn(&Path) -> String, mount: &'static str, why: &'static str) -> Probe {
    Probe { name, run, mount: Some((mount, why)) }
}

const PROBES: &[Probe] = &[
    same("ioctl: flags, attributes and versions of ext4 apart", ioctls),
    same("ioctl FS_IOC_GETFLAGS", get_flags),
    differs("ioctl FS_IOC_FIEMAP", fiemap, "EOPNOTSUPP", "there are no blocks to tell of"),
    same("sendfile, splice, tee", pipes),
    same("preadv2 and pwritev2: RWF_DSYNC, RWF_SYNC, RWF_HIPRI, RWF_APPEND", vectored_flags),
    differs("preadv2 RWF_NOWAIT", read_without_waiting, "EOPNOTSUPP", "kernel: not for FUSE"),
    differs("preadv2 RWF_DONTCACHE", read_uncached, "EOPNOTSUPP", "kernel: not for FUSE"),
    same("fcntl F_SETFL: O_ASYNC, O_APPEND, O_DIRECT, O_NONBLOCK", set_flags),
    same("fcntl F_SET_RW_HINT, F_ADD_SEALS, F_NOTIFY", other_fcntl),
    same("fcntl F_SETLEASE", leases),
    same("flock of a directory, within one mount", flock_of_directory),
    same("inotify: what one process does another is told of", inotify),
    same("name_to_handle_at, open_by_handle_at", handles),
    same("mmap: MAP_POPULATE, PROT_EXEC, mlock, madvise, mincore", mappings),
    same("mmap MAP_SYNC", synchronous_mapping),
    same("statx: what is filled in", statx_mask),
    same("fchmodat2: AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH", fchmodat2),
    same("execve, ETXTBSY", execution),
    same("UNIX sockets and FIFOs", sockets_and_fifos),
    same("poll of a regular file", polling),
    differs("epoll of a regular file", epoll, "0", "kernel: FUSE files may be waited for"),
    same("getdents64 into a buffer that is too small", small_buffer),
    same("pathconf", pathconf),
    differs(
        "chown to nobody and no group",
        chown_of_nothing,
        "0, mode 4755",
        "kernel: FUSE is not told; ext4 takes set-id bits away, and moves the change time",
    ),
    differs("an idmapped mount", idmapped, "EINVAL", "only with --allow-idmap: see idmapped.rs"),
    same("mandatory locks, which Linux has no more", mandatory),
    differs("quotactl", kernel_quotas, "ENOSYS", "kernel: not for FUSE; `shoal quota` instead"),
    same("posix_fadvise, readahead", advice),
    differs("swapon", swap, "EINVAL", "kernel: no swap on FUSE, whose server may need the memory"),
    same("mount --bind, chroot, pivot_root", namespaces),
    same("AT_STATX_FORCE_SYNC, AT_STATX_DONT_SYNC, AT_NO_AUTOMOUNT", statx_flags),
    same("openat2 RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, RESOLVE_IN_ROOT", resolution),
    same("asynchronous I/O of Linux: io_submit", aio),
];

#[test]
fn calls_that_few_make_are_answered_as_on_a_local_file_system() {
    if !is_root() {
        return;
    }
    let twins = Twins::new(&[]);
    let mut complaints = String::new();
    for (number, probe) in PROBES.iter().enumerate() {
        let [local, mounted] = twins.folders().map(|folder| {
            let folder = folder.join(number.to_string());
            fs::create_dir(&folder).expect("a new folder for each probe");
            (probe.run)(&folder)
        });
        let expected = probe.mount.map_or(local.as_str(), |(answer, _)| answer);
        if mounted != expected {
            complaints += &format!("--- {}\nthe mount: {mounted}\nexpected: {expected}\nplain: {local}\n", probe.name);
        }
        if probe.mount.is_some() && local == mounted {
            complaints += &format!("--- {}\nis the same by now: {local}\n", probe.name);
        }
    }
    assert!(complaints.is_empty(), "{complaints}");
    twins.end();
}

#[test]
fn fallocate_gives_length_and_reserves_no_room() {
    let bed = Bed::new(&["--capacity", "16M"]);
    let mount = bed.mount(&[]);
    let file = File::create_new(mount.mount_point().join("f")).expect("a new file");
    let allocate = |length| rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, length);
    allocate(1 << 30).expect("a length is given for nothing");
    assert_eq!(file.metadata().expect("it's open").blocks(), 0);
    let write = |at| file.write_all_at(&vec![1; 4 << 20], at).map_err(|error| error.raw_os_error());
    let refused = (0..8).find_map(|number| write(number << 22).err());
    assert_eq!(refused, Some(Some(libc::ENOSPC)), "the volume has room for four of them at most");
    drop(file);
    assert!(mount.stop().success(), "{}", bed.log());
    bed.check();
}

/// What a call answered: its errno by name, or the number.
fn answer(result: i64) -> String {
    match result {
        -1 => error(&std::io::Error::last_os_error()),
        number => number.to_string(),
    }
}

fn outcome<T: std::fmt::Debug>(result: std::io::Result<T>) -> String {
    result.map_or_else(|told| error(&told), |value| format!("{value:?}"))
}

fn error(error: &std::io::Error) -> String {
    format!("{:?}", shoal_types::Errno(error.raw_os_error().unwrap_or(0)))
}

fn file(folder: &Path, name: &str, content: &[u8]) -> File {
    let path = folder.join(name);
    fs::write(&path, content).expect("a new file takes bytes");
    OpenOptions::new().read(true).write(true).open(path).expect("it's there")
}

fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).expect("no NUL in it")
}

fn ioctls(folder: &Path) -> String {
    let file = file(folder, "f", b"0123456789");
    let mut number: libc::c_int = 0;
    let mut told = String::new();
    for (name, request) in
        [("FIONREAD", libc::FIONREAD), ("FIGETBSZ", 2), ("FIOCLEX", libc::FIOCLEX), ("FIONCLEX", libc::FIONCLEX)]
    {
        // SAFETY: these take a pointer to an int, or nothing.
        let result = unsafe { libc::ioctl(file.as_raw_fd(), request, &mut number) };
        told += &format!("{name} {} {number}; ", answer(result.into()));
    }
    // TCGETS, and one that nobody knows.
    for request in [0x5401, 0x1234] {
        let mut buffer = [0u8; 256];
        // SAFETY: none of them writes more than the buffer has.
        told += &format!(
            "{request:#x} {}; ",
            answer(unsafe { libc::ioctl(file.as_raw_fd(), request, &mut buffer) }.into())
        );
    }
    told
}

fn get_flags(folder: &Path) -> String {
    let file = file(folder, "f", b"");
    let mut flags: libc::c_long = 0;
    // SAFETY: the request takes a pointer to a long.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), 0x8008_6601, &mut flags) };
    if result == 0 { "flags".into() } else { answer(result.into()) }
}

fn fiemap(folder: &Path) -> String {
    let file = file(folder, "f", b"x");
    let mut map = [0u64; 4];
    map[1] = u64::MAX;
    // SAFETY: the header without room for extents is 32 bytes: the extents are counted alone.
    answer(unsafe { libc::ioctl(file.as_raw_fd(), 0xc020_660b, &mut map) }.into())
}

fn pipes(folder: &Path) -> String {
    let source = file(folder, "from", &[b'a'; 100_000]);
    let (target, other) = (file(folder, "to", b""), file(folder, "other", b""));
    let pipe = || {
        let mut ends = [0; 2];
        // SAFETY: there is room for both ends, which are ours from then on.
        unsafe {
            assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0);
            ends.map(|end| OwnedFd::from_raw_fd(end))
        }
    };
    let ([out, into], [second_out, second_into]) = (pipe(), pipe());
    let mut told = String::new();
    // SAFETY: descriptors that are open, no buffers, offsets that outlive the calls.
    unsafe {
        let mut offset = 5;
        told += &answer(libc::sendfile(target.as_raw_fd(), source.as_raw_fd(), &mut offset, 50_000) as i64);
        let mut offset = 0;
        let (from, to) = (source.as_raw_fd(), into.as_raw_fd());
        told += &format!(" {}", answer(libc::splice(from, &mut offset, to, std::ptr::null_mut(), 20_000, 0) as i64));
        told += &format!(" {}", answer(libc::tee(out.as_raw_fd(), second_into.as_raw_fd(), 20_000, 0) as i64));
        for (from, to) in [(&out, &target), (&second_out, &other)] {
            let (from, to) = (from.as_raw_fd(), to.as_raw_fd());
            let mut offset = 70_000;
            told +=
                &format!(" {}", answer(libc::splice(from, std::ptr::null_mut(), to, &mut offset, 20_000, 0) as i64));
        }
    }
    let content = |name: &str| fs::read(folder.join(name)).expect("it's there");
    told + &format!(" {} {}", count(&content("to")), count(&content("other")))
}

/// How many bytes are no zeros, of how many.
fn count(bytes: &[u8]) -> String {
    format!("{}/{}", bytes.iter().filter(|byte| **byte != 0).count(), bytes.len())
}

fn vectored(file: &File, write: bool, flags: libc::c_int) -> String {
    let mut bytes = *b"hello";
    let part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: one part of memory that outlives the call.
    answer(unsafe {
        match write {
            true => libc::pwritev2(file.as_raw_fd(), &part, 1, 0, flags),
            false => libc::preadv2(file.as_raw_fd(), &part, 1, 0, flags),
        }
    } as i64)
}

fn vectored_flags(folder: &Path) -> String {
    let mut file = file(folder, "f", b"0123456789");
    let mut told = String::new();
    for flags in [libc::RWF_DSYNC, libc::RWF_SYNC, libc::RWF_HIPRI, libc::RWF_APPEND, 0x4000_0000] {
        told += &format!("{flags:#x} {} {}; ", vectored(&file, true, flags), vectored(&file, false, flags));
    }
    let mut text = String::new();
    file.read_to_string(&mut text).expect("it can be read");
    told + &text
}

fn read_without_waiting(folder: &Path) -> String {
    let file = file(folder, "f", b"0123456789");
    let _ = vectored(&file, false, 0);
    vectored(&file, false, libc::RWF_NOWAIT)
}

fn read_uncached(folder: &Path) -> String {
    const RWF_DONTCACHE: libc::c_int = 0x80;
    vectored(&file(folder, "f", b"0123456789"), false, RWF_DONTCACHE)
}

fn set_flags(folder: &Path) -> String {
    let file = file(folder, "f", b"");
    let flags = [libc::O_ASYNC, libc::O_APPEND, libc::O_DIRECT, libc::O_NONBLOCK, libc::O_NOATIME, 0];
    let set = |flags: libc::c_int| {
        // SAFETY: the commands take a number, or nothing.
        let (set, now) = unsafe {
            let set = libc::fcntl(file.as_raw_fd(), libc::F_SETFL, flags);
            (set, libc::fcntl(file.as_raw_fd(), libc::F_GETFL))
        };
        format!("{} {now:#o}; ", answer(set.into()))
    };
    flags.into_iter().map(set).collect()
}

fn other_fcntl(folder: &Path) -> String {
    let file = file(folder, "f", b"");
    let directory = File::open(folder).expect("it's there");
    let mut hint: u64 = 2;
    // SAFETY: the commands take a number, or a pointer to one that outlives the call.
    let told = unsafe {
        [
            libc::fcntl(file.as_raw_fd(), 1036, &mut hint),
            libc::fcntl(file.as_raw_fd(), 1035, &mut hint),
            libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, libc::F_SEAL_WRITE),
        ]
    };
    // SAFETY: the command takes a number; to be told of nothing ends it.
    let notify = unsafe { libc::fcntl(directory.as_raw_fd(), libc::F_NOTIFY, 0) };
    format!("{} {hint} {notify}", told.map(i64::from).map(answer).join(" "))
}

fn leases(folder: &Path) -> String {
    let file = file(folder, "f", b"");
    let read = File::open(folder.join("f")).expect("it's there");
    // SAFETY: the command takes a number.
    let lease = |file: &File, kind: libc::c_int| {
        answer(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, kind) }.into())
    };
    let while_written = lease(&read, libc::F_RDLCK);
    drop(file);
    // A program that another test starts meanwhile has our descriptors until it's executed.
    let deadline = Instant::now() + Duration::from_secs(5);
    let mut when_closed = lease(&read, libc::F_RDLCK);
    while when_closed == "EAGAIN" && Instant::now() < deadline {
        when_closed = lease(&read, libc::F_RDLCK);
    }
    format!("{while_written} {when_closed} {}", lease(&read, libc::F_UNLCK))
}

fn flock_of_directory(folder: &Path) -> String {
    let [one, other] = [(); 2].map(|()| File::open(folder).expect("it's there"));
    // SAFETY: the call takes no pointers.
    let lock = |file: &File, how| answer(unsafe { libc::flock(file.as_raw_fd(), how | libc::LOCK_NB) }.into());
    let taken = lock(&one, libc::LOCK_EX);
    let refused = lock(&other, libc::LOCK_SH);
    drop(one);
    format!("{taken} {refused} {}", lock(&other, libc::LOCK_SH))
}

fn inotify(folder: &Path) -> String {
    // SAFETY: a new descriptor, which is ours.
    let events = unsafe { OwnedFd::from_raw_fd(libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK)) };
    let path = c_path(folder);
    // SAFETY: a NUL-terminated string that outlives the call.
    let watch = unsafe { libc::inotify_add_watch(events.as_raw_fd(), path.as_ptr(), libc::IN_ALL_EVENTS) };
    let script = "echo x > a; echo y >> a; mv a b; chmod 600 b; ln b c; rm b c; mkdir d; rmdir d";
    let ran = Command::new("sh").args(["-c", script]).current_dir(folder).status().expect("there is a shell");
    let mut bytes = [0u8; 16384];
    // SAFETY: the buffer has so many bytes.
    let count = unsafe { libc::read(events.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len()) };
    let mut told = format!("{} {}:", watch > 0, ran.success());
    let mut rest = &bytes[..usize::try_from(count).unwrap_or(0)];
    while let Some(head) = rest.first_chunk::<16>() {
        let number = |at: usize| u32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        told += &format!(" {:#x}", number(4));
        rest = &rest[16 + number(12) as usize..];
    }
    told
}

fn handles(folder: &Path) -> String {
    file(folder, "f", b"found by its handle");
    #[repr(C)]
    struct Handle {
        bytes: u32,
        kind: i32,
        data: [u8; 128],
    }
    let mut handle = Handle { bytes: 128, kind: 0, data: [0; 128] };
    let mut mount = 0;
    let path = c_path(&folder.join("f"));
    let directory = File::open(folder).expect("it's there");
    // SAFETY: the handle says how much room it has, and everything outlives the calls.
    unsafe {
        let handle: *mut Handle = &mut handle;
        let named = libc::syscall(libc::SYS_name_to_handle_at, libc::AT_FDCWD, path.as_ptr(), handle, &mut mount, 0);
        let opened = libc::syscall(libc::SYS_open_by_handle_at, directory.as_raw_fd(), handle, libc::O_RDONLY);
        if opened < 0 {
            return format!("{} {}", answer(named), answer(opened));
        }
        let mut file = File::from_raw_fd(opened as i32);
        let mut text = String::new();
        format!("{} {} {text}", answer(named), outcome(file.read_to_string(&mut text)))
    }
}

fn mappings(folder: &Path) -> String {
    let file = file(folder, "f", &[7; 8192]);
    let mut told = String::new();
    let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
    // SAFETY: a new mapping of a file that nobody shortens, touched only while it lives.
    unsafe {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let map = libc::mmap(std::ptr::null_mut(), 8192, protection, flags, file.as_raw_fd(), 0);
        if map == libc::MAP_FAILED {
            return answer(-1);
        }
        told += &format!("mlock {}; ", answer(libc::mlock(map, 8192).into()));
        let mut pages = [0u8; 2];
        told += &format!("mincore {} ", answer(libc::mincore(map, 8192, pages.as_mut_ptr()).into()));
        told += &format!("{:?}; ", pages.map(|page| page & 1));
        *map.cast::<u8>() = 8;
        for advice in [libc::MADV_WILLNEED, libc::MADV_SEQUENTIAL, libc::MADV_DONTNEED, libc::MADV_REMOVE] {
            told += &format!("{advice} {}; ", answer(libc::madvise(map, 4096, advice).into()));
        }
        told += &format!("munlock {} munmap {}; ", libc::munlock(map, 8192), libc::munmap(map, 8192));
        let protection = libc::PROT_READ | libc::PROT_EXEC;
        let map = libc::mmap(std::ptr::null_mut(), 4096, protection, libc::MAP_PRIVATE, file.as_raw_fd(), 0);
        told += &format!("executable {}; ", map != libc::MAP_FAILED);
        libc::munmap(map, 4096);
    }
    told + &count(&fs::read(folder.join("f")).expect("it's there"))
}

fn synchronous_mapping(folder: &Path) -> String {
    let file = file(folder, "f", &[7; 4096]);
    let flags = libc::MAP_SHARED_VALIDATE | libc::MAP_SYNC;
    // SAFETY: a new mapping that nobody touches.
    let map = unsafe { libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_READ, flags, file.as_raw_fd(), 0) };
    if map == libc::MAP_FAILED { answer(-1) } else { "mapped".into() }
}

fn statx(folder: &Path, flags: i32, mask: u32) -> String {
    let path = c_path(&folder.join("f"));
    // SAFETY: all zeros is a valid value of a record of numbers.
    let mut stat: libc::statx = unsafe { std::mem::zeroed() };
    // SAFETY: a NUL-terminated string and a record that outlive the call.
    let result = unsafe { libc::statx(libc::AT_FDCWD, path.as_ptr(), flags, mask, &mut stat) };
    let basic = stat.stx_mask & (libc::STATX_BASIC_STATS | libc::STATX_BTIME);
    format!("{} {basic:#x} {} {}; ", answer(result.into()), stat.stx_size, stat.stx_nlink)
}

fn statx_mask(folder: &Path) -> String {
    file(folder, "f", b"0123");
    statx(folder, 0, libc::STATX_BASIC_STATS | libc::STATX_BTIME)
}

fn statx_flags(folder: &Path) -> String {
    file(folder, "f", b"0123");
    let flags = [libc::AT_STATX_FORCE_SYNC, libc::AT_STATX_DONT_SYNC, libc::AT_NO_AUTOMOUNT, 0x6000, 0x1_0000];
    flags
        .into_iter()
        .map(|flags| statx(folder, flags, libc::STATX_SIZE | libc::STATX_NLINK | libc::STATX_BASIC_STATS))
        .collect()
}

fn fchmodat2(folder: &Path) -> String {
    let file = file(folder, "f", b"");
    std::os::unix::fs::symlink("f", folder.join("l")).expect("a new name");
    let path = c_path(&folder.join("l"));
    let change = |directory: libc::c_int, path: &CString, flags: libc::c_int| {
        // SAFETY: a NUL-terminated string that outlives the call.
        answer(unsafe { libc::syscall(libc::SYS_fchmodat2, directory, path.as_ptr(), 0o600, flags) })
    };
    let nothing = CString::default();
    format!(
        "{} {} {} {}",
        change(libc::AT_FDCWD, &path, libc::AT_SYMLINK_NOFOLLOW),
        change(libc::AT_FDCWD, &path, 0),
        change(file.as_raw_fd(), &nothing, libc::AT_EMPTY_PATH),
        change(libc::AT_FDCWD, &path, 0x4000_0000)
    )
}

fn execution(folder: &Path) -> String {
    let program = folder.join("sleep");
    fs::copy("/bin/sleep", &program).expect("a program can be copied");
    let mut child = Command::new(&program).arg("60").spawn().expect("it runs from here");
    let write = outcome(OpenOptions::new().write(true).open(&program).map(drop));
    let truncate = outcome(OpenOptions::new().write(true).truncate(true).open(&program).map(drop));
    let cut = outcome(OpenOptions::new().read(true).custom_flags(libc::O_TRUNC).open(&program).map(drop));
    let length =
        fs::metadata(&program).expect("it's there").len() == fs::metadata("/bin/sleep").expect("it's there").len();
    let removed = outcome(fs::remove_file(&program));
    child.kill().expect("a child of ours");
    child.wait().expect("a child of ours");
    fs::copy("/bin/sleep", &program).expect("a program can be copied");
    let writer = OpenOptions::new().write(true).open(&program).expect("nobody runs it");
    let run = outcome(Command::new(&program).arg("0").status().map(|status| status.success()));
    drop(writer);
    let again = outcome(Command::new(&program).arg("0").status().map(|status| status.success()));
    let by_reader = OpenOptions::new().read(true).custom_flags(libc::O_TRUNC).open(&program);
    let left = outcome(by_reader.and_then(|file| file.metadata()).map(|found| found.len()));
    format!("{write} {truncate} {cut} {length} {removed} {run} {again} {left}")
}

fn sockets_and_fifos(folder: &Path) -> String {
    std::env::set_current_dir(folder).expect("it's there");
    let listener = UnixListener::bind("s").expect("a new name");
    let again = outcome(UnixListener::bind("s").map(drop));
    let mut client = UnixStream::connect("s").expect("somebody listens");
    let (mut server, _) = listener.accept().expect("somebody has come");
    client.write_all(b"over a socket").expect("it's open");
    drop(client);
    let mut text = String::new();
    server.read_to_string(&mut text).expect("it's open");
    drop((listener, server));
    let closed = outcome(UnixStream::connect("s").map(drop));
    let opened = outcome(File::open("s").map(drop));
    std::env::set_current_dir("/").expect("there is a root");
    let script = "mkfifo p; (echo through a fifo > p) & cat p; wait; stat -c %F s p";
    let ran = Command::new("sh").args(["-c", script]).current_dir(folder).output().expect("there is a shell");
    format!("{again} {text} {closed} {opened} {}", String::from_utf8_lossy(&ran.stdout))
}

fn polling(folder: &Path) -> String {
    let file = file(folder, "f", b"");
    let mut wanted =
        libc::pollfd { fd: file.as_raw_fd(), events: libc::POLLIN | libc::POLLOUT | libc::POLLPRI, revents: 0 };
    // SAFETY: a record that outlives the call.
    let ready = unsafe { libc::poll(&mut wanted, 1, 0) };
    format!("{ready} {:#x}", wanted.revents)
}

fn epoll(folder: &Path) -> String {
    let file = file(folder, "f", b"");
    // SAFETY: a record that outlives the call; the new descriptor is ours.
    unsafe {
        let epoll = OwnedFd::from_raw_fd(libc::epoll_create1(libc::EPOLL_CLOEXEC));
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 0 };
        let added = libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, file.as_raw_fd(), &mut event);
        answer(added.into())
    }
}

fn small_buffer(folder: &Path) -> String {
    file(folder, &"n".repeat(200), b"");
    let directory = File::open(folder).expect("it's there");
    let read = |length: usize| {
        let mut buffer = [0u8; 600];
        // SAFETY: the buffer has more than so many bytes.
        answer(unsafe { libc::syscall(libc::SYS_getdents64, directory.as_raw_fd(), buffer.as_mut_ptr(), length) })
    };
    format!("{} {} {}", read(5), read(600), read(600))
}

fn pathconf(folder: &Path) -> String {
    let path = c_path(folder);
    // SAFETY: a NUL-terminated string that outlives the call.
    let ask = |name| answer(unsafe { libc::pathconf(path.as_ptr(), name) });
    [libc::_PC_NAME_MAX, libc::_PC_PATH_MAX, libc::_PC_NO_TRUNC, libc::_PC_CHOWN_RESTRICTED].map(ask).join(" ")
}

fn chown_of_nothing(folder: &Path) -> String {
    let file = file(folder, "f", b"");
    file.set_permissions(Permissions::from_mode(0o4755)).expect("root may do that");
    let path = c_path(&folder.join("f"));
    // SAFETY: a NUL-terminated string that outlives the call.
    let told = answer(unsafe { libc::chown(path.as_ptr(), u32::MAX, u32::MAX) }.into());
    format!("{told}, mode {:o}", file.metadata().expect("it's open").permissions().mode() & 0o7777)
}

/// A view with other ids.
fn idmapped(folder: &Path) -> String {
    outcome(shoal_ci_conformance::idmapped(folder, 1001, 10).map(drop))
}

fn mandatory(folder: &Path) -> String {
    let one = file(folder, "f", b"0123456789");
    one.set_permissions(Permissions::from_mode(0o2644)).expect("root may do that");
    let mut other = OpenOptions::new().write(true).open(folder.join("f")).expect("it's there");
    let lock = libc::flock { l_type: libc::F_WRLCK as i16, l_whence: 0, l_start: 0, l_len: 0, l_pid: 0 };
    // SAFETY: the command takes a lock, which outlives the call.
    let locked = answer(unsafe { libc::fcntl(one.as_raw_fd(), libc::F_OFD_SETLK, &lock) }.into());
    format!("{locked} {}", outcome(other.write(b"written in spite of it")))
}

fn kernel_quotas(folder: &Path) -> String {
    let directory = File::open(folder).expect("it's there");
    // Q_GETFMT of users.
    let command = 0x80_0004_u32 << 8;
    let mut format = 0u32;
    // SAFETY: the command writes one number, which outlives the call.
    let told = unsafe { libc::syscall(libc::SYS_quotactl_fd, directory.as_raw_fd(), command, 0, &mut format) };
    if told == 0 { "ESRCH".into() } else { answer(told) }
}

fn advice(folder: &Path) -> String {
    let file = file(folder, "f", &[1; 10_000]);
    let advices = [0, 1, 2, 3, 4, 5, 99];
    // SAFETY: the calls take no pointers.
    let told = advices.map(|advice| unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, advice) }.to_string());
    // SAFETY: the call takes no pointers.
    format!("{} {}", told.join(" "), answer(unsafe { libc::readahead(file.as_raw_fd(), 0, 10_000) } as i64))
}

fn swap(folder: &Path) -> String {
    file(folder, "f", &vec![0; 1 << 20]);
    let made = Command::new("mkswap").arg(folder.join("f")).output().is_ok_and(|output| output.status.success());
    let path = c_path(&folder.join("f"));
    // SAFETY: a NUL-terminated string that outlives the calls; what was switched on is switched off again.
    unsafe {
        match libc::swapon(path.as_ptr(), 0) {
            0 => format!("on, {}", answer(libc::swapoff(path.as_ptr()).into())),
            _ if !made => "no mkswap".into(),
            failed => answer(failed.into()),
        }
    }
}

fn namespaces(folder: &Path) -> String {
    let script = "mkdir -p a/b root/old root/bin root/lib root/lib64 root/usr; echo bound > a/b/f; mkdir m
        mount --bind a m; cat m/b/f; echo through > m/b/g; cat a/b/g; mv m/b/g a/b/h; umount m; ls m a/b
        for d in bin lib lib64 usr; do [ -e /$d ] && mount --rbind /$d root/$d; done
        chroot root /bin/sh -c 'echo in a root of its own; echo made > /x; cd /..; ls /x'
        mount --bind root root; cd root; pivot_root . old && /bin/sh -c 'cat /x; cd /; ls /x; umount -l /old && echo gone'";
    let ran = Command::new("unshare").args(["-m", "sh", "-c", script]).current_dir(folder).output();
    let ran = ran.expect("util-linux is installed");
    format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr))
}

fn resolution(folder: &Path) -> String {
    file(folder, "f", b"");
    std::os::unix::fs::symlink("f", folder.join("l")).expect("a new name");
    std::os::unix::fs::symlink("/f", folder.join("absolute")).expect("a new name");
    let directory = File::open(folder).expect("it's there");
    let open = |name: &str, resolve: u64| {
        let (name, how) = (CString::new(name).expect("no NUL in it"), [0u64, 0, resolve]);
        // SAFETY: a NUL-terminated string, and three numbers as the call takes them.
        let opened =
            unsafe { libc::syscall(libc::SYS_openat2, directory.as_raw_fd(), name.as_ptr(), how.as_ptr(), 24) };
        if opened < 0 {
            return answer(opened);
        }
        // SAFETY: a new descriptor, which is ours.
        drop(unsafe { OwnedFd::from_raw_fd(opened as i32) });
        "opened".into()
    };
    let names = ["f", "l", "absolute", "../f"];
    let told = [libc::RESOLVE_BENEATH, libc::RESOLVE_NO_SYMLINKS, libc::RESOLVE_IN_ROOT, libc::RESOLVE_NO_XDEV];
    told.map(|resolve| names.map(|name| open(name, resolve)).join(" ")).join("; ")
}

fn aio(folder: &Path) -> String {
    let file = file(folder, "f", b"0123456789");
    let mut context: libc::c_ulong = 0;
    let mut buffer = [0u8; 6];
    // The record of one request (`struct iocb`): eight numbers of 8 bytes.
    let write = |buffer: &mut [u8; 6], opcode: u16, offset: u64| {
        let (address, length) = (buffer.as_mut_ptr() as u64, buffer.len() as u64);
        [0, 0, u64::from(opcode) | (file.as_raw_fd() as u64) << 32, address, length, offset, 0, 0]
    };
    // SAFETY: one request at a time, waited for before its memory ends.
    unsafe {
        let made = libc::syscall(libc::SYS_io_setup, 1, &mut context);
        let mut told = answer(made);
        for opcode in [1, 0] {
            buffer = if opcode == 1 { *b"abcdef" } else { [0; 6] };
            let request = write(&mut buffer, opcode, 4);
            let list = [&request];
            told += &format!(" {}", answer(libc::syscall(libc::SYS_io_submit, context, 1, list.as_ptr())));
            let mut event = [0i64; 4];
            let done = libc::syscall(libc::SYS_io_getevents, context, 1, 1, event.as_mut_ptr(), 0usize);
            told += &format!(" {} {}", answer(done), event[2]);
        }
        libc::syscall(libc::SYS_io_destroy, context);
        let mut file = &file;
        let mut text = String::new();
        file.seek(SeekFrom::Start(0)).expect("a regular file");
        file.read_to_string(&mut text).expect("it can be read");
        format!("{told} {} {text}", String::from_utf8_lossy(&buffer))
    }
}
