//! A file in memory, as mmap(2) gives it.

use rustix::mm::{MapFlags, MsyncFlags, ProtFlags, mmap, msync, munmap};
use std::ffi::c_void;
use std::io;
use std::os::fd::AsFd;

/// Its bytes are read and written by copying, and only while it lives.
pub struct Mapping {
    address: *mut c_void,
    length: usize,
}

impl Mapping {
    /// `length` bytes from `offset` (a multiple of the page) of a file open for reading and writing; what is written stays
    /// private unless `shared`. Nobody may shorten the file below the mapping's end while it lives: touching it would be
    /// SIGBUS.
    pub fn new(file: impl AsFd, offset: u64, length: usize, shared: bool) -> io::Result<Self> {
        let flags = if shared { MapFlags::SHARED } else { MapFlags::PRIVATE };
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice harms no memory that is in use.
        let address = unsafe { mmap(std::ptr::null_mut(), length, protection, flags, file, offset)? };
        Ok(Mapping { address, length })
    }

    pub fn read(&self, at: usize, length: usize) -> Vec<u8> {
        assert!(at + length <= self.length, "within the mapping");
        let mut bytes = vec![0; length];
        // SAFETY: the range is mapped as long as `self` lives, and `bytes` is new memory of that length.
        unsafe { std::ptr::copy_nonoverlapping(self.address.cast::<u8>().add(at), bytes.as_mut_ptr(), length) };
        bytes
    }

    pub fn write(&mut self, at: usize, bytes: &[u8]) {
        assert!(at + bytes.len() <= self.length, "within the mapping");
        // SAFETY: the range is mapped for writing as long as `self` lives; `bytes` can't lie in it, because nobody gets a
        // reference into a mapping.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.address.cast::<u8>().add(at), bytes.len()) };
    }

    /// What was written is the file's when this returns.
    pub fn sync(&self) -> io::Result<()> {
        // SAFETY: the mapping made in `new`.
        unsafe { msync(self.address, self.length, MsyncFlags::SYNC) }.map_err(io::Error::from)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`, to which nothing refers any more.
        let unmapped = unsafe { munmap(self.address, self.length) };
        unmapped.expect("what was mapped can be unmapped");
    }
}
