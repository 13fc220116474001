//! The ring operations that compio does not offer in the form we need: exclusive polls, and reads and writes on a
//! range of an `AlignedBuffer`.
//!
//! Each operation owns its file and buffer; the driver keeps the operation alive until the kernel has completed it,
//! also when the waiting future was dropped.

use crate::buffer::AlignedBuffer;
use compio_driver::{IourOpCode as OpCode, OpEntry};
use io_uring::{opcode, types::Fd};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

pub(crate) struct Poll {
    pub file: Arc<OwnedFd>,
    /// Wake one waiter of several, not all: `EPOLLEXCLUSIVE`.
    pub exclusive: bool,
}

// SAFETY: the entry refers only to the descriptor, which `self` keeps open.
unsafe impl OpCode for Poll {
    type Control = ();

    fn create_entry(&mut self, _: &mut ()) -> OpEntry {
        let mut events = libc::POLLIN as u32;
        if self.exclusive {
            events |= libc::EPOLLEXCLUSIVE as u32;
        }
        opcode::PollAdd::new(Fd(self.file.as_raw_fd()), events).build().into()
    }
}

pub(crate) struct Nothing;

// SAFETY: the entry refers to nothing.
unsafe impl OpCode for Nothing {
    type Control = ();

    fn create_entry(&mut self, _: &mut ()) -> OpEntry {
        opcode::Nop::new().build().into()
    }
}

pub(crate) struct ReadRange {
    pub file: Arc<OwnedFd>,
    pub buffer: AlignedBuffer,
    pub start: usize,
    pub length: usize,
    pub offset: u64,
}

// SAFETY: the entry points into `buffer`'s allocation, which `self` owns and which does not move with `self`;
// `file_io::read_at` has checked that the range lies within the capacity.
unsafe impl OpCode for ReadRange {
    type Control = ();

    fn create_entry(&mut self, _: &mut ()) -> OpEntry {
        let target = self.buffer.as_mut_ptr().wrapping_add(self.start);
        opcode::Read::new(Fd(self.file.as_raw_fd()), target, self.length as u32).offset(self.offset).build().into()
    }
}

pub(crate) struct WriteRange {
    pub file: Arc<OwnedFd>,
    pub buffer: AlignedBuffer,
    pub start: usize,
    pub length: usize,
    pub offset: u64,
}

// SAFETY: as for `ReadRange`; the kernel only reads from the buffer.
unsafe impl OpCode for WriteRange {
    type Control = ();

    fn create_entry(&mut self, _: &mut ()) -> OpEntry {
        let source = self.buffer.as_ptr().wrapping_add(self.start);
        opcode::Write::new(Fd(self.file.as_raw_fd()), source, self.length as u32).offset(self.offset).build().into()
    }
}

/// Writes shared bytes; for O_DIRECT they must start page-aligned and be whole sectors.
pub(crate) struct WriteBytes {
    pub file: Arc<OwnedFd>,
    pub bytes: bytes::Bytes,
    pub offset: u64,
}

// SAFETY: the entry points into the bytes' memory, which `self` keeps alive and which never moves.
unsafe impl OpCode for WriteBytes {
    type Control = ();

    fn create_entry(&mut self, _: &mut ()) -> OpEntry {
        let length = self.bytes.len() as u32;
        opcode::Write::new(Fd(self.file.as_raw_fd()), self.bytes.as_ptr(), length).offset(self.offset).build().into()
    }
}
