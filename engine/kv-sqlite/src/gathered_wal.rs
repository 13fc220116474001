//! All frames of a commit in one system call, instead of two for each.
//!
//! SQLite writes a frame of the WAL as a header and a page. The VFS registered here is SQLite's own, but with another
//! `xWrite` for WAL files: it gathers frames, and writes them with the one that bears the commit mark, so that they are in
//! the kernel's hands when COMMIT returns, and an error is the commit's.
//!
//! Only for a connection that writes no frame before it commits (`cache_spill=OFF`). Then nobody reads a frame, and the
//! index names none, before all of its commit have been written. Frames of a commit that failed halfway are of no use to
//! anyone: the next commit begins where they did, and they are dropped here.

use rusqlite::ffi::{
    SQLITE_OK, SQLITE_OPEN_WAL, sqlite3_file, sqlite3_filename, sqlite3_io_methods, sqlite3_vfs, sqlite3_vfs_find,
    sqlite3_vfs_register,
};
use std::ffi::{CStr, c_int, c_void};
use std::ptr;
use std::sync::OnceLock;

/// Header: page number, size of the database in pages (of a commit's last frame, otherwise 0), salts, checksums.
const FRAME_HEADER_BYTES: usize = 24;
/// What has come to this is written although the commit goes on. SQLite's own `xWrite` takes less than 128 KiB a call.
const GATHERED_BYTES_MAX: usize = 64 << 10;

/// Where our state begins behind SQLite's own of an open file. Kept since the VFS was registered: to look one up, SQLite
/// takes a lock of the whole process.
static STATE_OFFSET: OnceLock<usize> = OnceLock::new();

/// The name of the VFS, registered at the first call.
pub(crate) fn vfs() -> &'static CStr {
    const NAME: &CStr = c"shoal-gathered-wal";
    STATE_OFFSET.get_or_init(|| {
        let own = original();
        // SAFETY: SQLite's default VFS is never unregistered. Its functions ask the VFS they are called with for no more
        // than what is copied here, but for `xOpen`, which gets the original.
        let mut vfs = unsafe { ptr::read(own) };
        let offset = (vfs.szOsFile as usize).next_multiple_of(align_of::<State>());
        vfs.zName = NAME.as_ptr();
        vfs.pNext = ptr::null_mut();
        vfs.szOsFile = (offset + size_of::<State>()) as c_int;
        vfs.xOpen = Some(open);
        // SAFETY: it is never freed.
        let result = unsafe { sqlite3_vfs_register(Box::leak(Box::new(vfs)), 0) };
        assert_eq!(result, SQLITE_OK, "a VFS can be registered");
        offset
    });
    NAME
}

/// What stands behind SQLite's own state of an open WAL.
struct State {
    /// SQLite's own, but for `xWrite` and `xClose`.
    methods: sqlite3_io_methods,
    original: &'static sqlite3_io_methods,
    frames: Frames,
}

fn original() -> *mut sqlite3_vfs {
    // SAFETY: null asks for the default one, and may be asked for at any time.
    let vfs = unsafe { sqlite3_vfs_find(ptr::null()) };
    assert!(!vfs.is_null(), "SQLite has a default VFS");
    vfs
}

/// # Safety
/// `file` is memory of the size that the VFS asks for.
unsafe fn state_of(file: *mut sqlite3_file) -> *mut State {
    let offset = *STATE_OFFSET.get().expect("files are opened by a registered VFS");
    // SAFETY: that is inside the memory, and leaves room for the state.
    let state = unsafe { file.cast::<u8>().add(offset).cast::<State>() };
    assert!(state.is_aligned(), "SQLite's memory is aligned for any of its types");
    state
}

unsafe extern "C" fn open(
    _: *mut sqlite3_vfs,
    name: sqlite3_filename,
    file: *mut sqlite3_file,
    flags: c_int,
    flags_out: *mut c_int,
) -> c_int {
    // SAFETY: the arguments are what SQLite calls this function with, and `file` has room for both parts. A file that was
    // opened has methods, which are static.
    unsafe {
        let vfs = original();
        let result = (*vfs).xOpen.expect("every VFS opens files")(vfs, name, file, flags, flags_out);
        if result == SQLITE_OK && flags & SQLITE_OPEN_WAL != 0 {
            let original = &*(*file).pMethods;
            let methods = sqlite3_io_methods { xWrite: Some(write), xClose: Some(close), ..ptr::read(original) };
            let state = state_of(file);
            state.write(State { methods, original, frames: Frames::default() });
            (*file).pMethods = &raw const (*state).methods;
        }
        result
    }
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: only called for files that `open` has given a state, and once for each.
    unsafe {
        let state = state_of(file);
        let original = (*state).original;
        state.drop_in_place();
        (*file).pMethods = original;
        original.xClose.expect("every file can be closed")(file)
    }
}

unsafe extern "C" fn write(file: *mut sqlite3_file, bytes: *const c_void, count: c_int, offset: i64) -> c_int {
    // SAFETY: only called for files that `open` has given a state, by the one connection that has opened the file.
    // `bytes` points to `count` bytes.
    unsafe {
        let state = state_of(file);
        let original = (*state).original.xWrite.expect("every file can be written");
        let bytes = std::slice::from_raw_parts(bytes.cast::<u8>(), count as usize);
        let out = |bytes: &[u8], offset| original(file, bytes.as_ptr().cast(), bytes.len() as c_int, offset);
        (*state).frames.write(bytes, offset, out)
    }
}

/// Frames of one commit, not written yet.
#[derive(Default)]
struct Frames {
    start: i64,
    bytes: Vec<u8>,
    /// The last header bore the commit mark.
    last: bool,
}

impl Frames {
    /// Takes what SQLite writes, and writes by `out` what is due; the result is `out`'s.
    fn write(&mut self, bytes: &[u8], offset: i64, mut out: impl FnMut(&[u8], i64) -> c_int) -> c_int {
        if offset != self.start + self.bytes.len() as i64 {
            self.bytes.clear();
        }
        if bytes.len() == FRAME_HEADER_BYTES {
            if self.bytes.is_empty() {
                self.start = offset;
            }
            self.last = bytes[4..8] != [0; 4];
            self.bytes.extend_from_slice(bytes);
            return SQLITE_OK;
        }
        if self.bytes.is_empty() {
            // The header of the WAL.
            return out(bytes, offset);
        }
        self.bytes.extend_from_slice(bytes);
        if !self.last && self.bytes.len() < GATHERED_BYTES_MAX {
            return SQLITE_OK;
        }
        let result = out(&self.bytes, self.start);
        self.bytes.clear();
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::open::{open_reader, open_writer};
    use rusqlite::ffi::SQLITE_FULL;

    const PAGE: [u8; 4096] = [7; 4096];

    fn header(pages: u32) -> [u8; FRAME_HEADER_BYTES] {
        let mut header = [1; FRAME_HEADER_BYTES];
        header[4..8].copy_from_slice(&pages.to_be_bytes());
        header
    }

    /// Frames from `offset` on, the last of them with the mark; what was written, and the result of the last one.
    fn commit(frames: &mut Frames, count: usize, offset: i64, result: c_int) -> (Vec<(i64, usize)>, c_int) {
        let (mut written, mut at, mut last) = (Vec::new(), offset, SQLITE_OK);
        for number in 1..=count {
            let header = header(if number == count { 9 } else { 0 });
            for part in [header.as_slice(), PAGE.as_slice()] {
                last = frames.write(part, at, |bytes, offset| {
                    written.push((offset, bytes.len()));
                    result
                });
                at += part.len() as i64;
            }
        }
        (written, last)
    }

    #[test]
    fn a_commit_is_one_write_and_a_huge_one_few() {
        let mut frames = Frames::default();
        assert_eq!(frames.write(&[0; 32], 0, |bytes, offset| (bytes.len() + offset as usize) as c_int), 32);
        let frame = FRAME_HEADER_BYTES + PAGE.len();
        assert_eq!(commit(&mut frames, 5, 32, SQLITE_OK), (vec![(32, 5 * frame)], SQLITE_OK));
        let (written, _) = commit(&mut frames, 1000, 777, SQLITE_OK);
        assert_eq!(written.iter().map(|(_, bytes)| bytes).sum::<usize>(), 1000 * frame);
        assert!(written.is_sorted() && written.iter().all(|(_, bytes)| *bytes < 128 << 10), "{written:?}");
        assert!(written.len() < 1000 / 10);
    }

    #[test]
    fn a_failed_write_is_the_commits_and_what_it_left_is_dropped() {
        let mut frames = Frames::default();
        assert_eq!(commit(&mut frames, 2, 32, SQLITE_FULL).1, SQLITE_FULL);
        // One that SQLite gave up in its middle.
        frames.write(&header(0), 32, |_, _| unreachable!("nothing is due"));
        frames.write(&PAGE, 32 + FRAME_HEADER_BYTES as i64, |_, _| unreachable!("nothing is due"));
        let frame = FRAME_HEADER_BYTES + PAGE.len();
        assert_eq!(commit(&mut frames, 3, 32, SQLITE_OK), (vec![(32, 3 * frame)], SQLITE_OK));
    }

    #[test]
    fn a_transaction_larger_than_the_cache_reads_its_own_pages_and_commits_them_all() {
        let folder = tempfile::tempdir().unwrap();
        let (writer, path) = open_writer(&folder.path().join("volume"), true).unwrap();
        writer.pragma_update(None, "cache_size", 10).unwrap();
        let sum = "SELECT count(*), total(length(v)) FROM kv";
        let counted = |connection: &rusqlite::Connection| {
            connection.query_row(sum, (), |row| Ok((row.get::<_, i64>(0)?, row.get::<_, f64>(1)?))).unwrap()
        };
        for round in 0..3u32 {
            writer.execute_batch("BEGIN IMMEDIATE").unwrap();
            for number in 0..500u32 {
                let key = (number * 3 + round).to_be_bytes();
                writer.execute("INSERT INTO kv VALUES (?1, zeroblob(3000))", [key.as_slice()]).unwrap();
            }
            let rows = i64::from(round + 1) * 500;
            assert_eq!(counted(&writer), (rows, rows as f64 * 3000.0));
            writer.execute_batch("COMMIT").unwrap();
            assert_eq!(counted(&open_reader(&path).unwrap()), (rows, rows as f64 * 3000.0));
        }
        let check: String = writer.query_row("PRAGMA integrity_check", (), |row| row.get(0)).unwrap();
        assert_eq!(check, "ok");
    }
}
