//! A directory being listed, with places to come back to: readdir(3), telldir(3), seekdir(3).

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

pub struct Listing(*mut libc::DIR);

impl Listing {
    pub fn open(directory: &Path) -> Self {
        let path = CString::new(directory.as_os_str().as_bytes()).expect("a path has no NUL");
        // SAFETY: a NUL-terminated string that outlives the call.
        let stream = unsafe { libc::opendir(path.as_ptr()) };
        assert!(!stream.is_null(), "opendir: {}", std::io::Error::last_os_error());
        Listing(stream)
    }

    pub fn tell(&self) -> i64 {
        // SAFETY: the stream is open until `self` is dropped.
        unsafe { libc::telldir(self.0) }
    }

    pub fn seek(&mut self, place: i64) {
        // SAFETY: the stream is open until `self` is dropped; a place that is none gives an odd listing, no harm.
        unsafe { libc::seekdir(self.0, place) }
    }
}

impl Iterator for Listing {
    type Item = Vec<u8>;

    /// The next name but "." and "..".
    fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            // SAFETY: the stream is open until `self` is dropped.
            let entry = unsafe { libc::readdir(self.0) };
            if entry.is_null() {
                return None;
            }
            // SAFETY: readdir gave an entry with a NUL-terminated name, good until the next call on this stream.
            let name = unsafe { CStr::from_ptr((*entry).d_name.as_ptr()) }.to_bytes().to_vec();
            if name != b"." && name != b".." {
                return Some(name);
            }
        }
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        // SAFETY: opened in `open`, and closed once.
        let closed = unsafe { libc::closedir(self.0) };
        assert_eq!(closed, 0, "an open stream can be closed");
    }
}
