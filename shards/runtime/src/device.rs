//! Commands to a device driver on the current shard's ring (`IORING_OP_URING_CMD` in a 128-byte entry).

use crate::file_io::RingFile;
use compio_buf::BufResult;
use compio_driver::{IourOpCode as OpCode, OpEntry};
use io_uring::squeue::Entry128;
use io_uring::{opcode, types::Fd};
use std::io;
use std::os::fd::AsRawFd;

/// What the driver is told; the meaning of each field is the driver's.
#[derive(Clone, Copy)]
pub struct DeviceCommand {
    pub operation: u32,
    pub arguments: [u8; 80],
    pub address: u64,
    pub length: u32,
}

/// Submits a command, and waits until the driver completes it. `memory` is kept until then, and comes back.
///
/// # Safety
/// Whatever the driver may touch because of this command belongs to `memory`, stays where it is when `memory` moves, and
/// is touched by nobody else before the command is completed.
pub async unsafe fn device_command<M: 'static>(
    device: &RingFile,
    command: DeviceCommand,
    memory: M,
) -> (io::Result<usize>, M) {
    let operation = Command { device: device.clone(), command, memory };
    let BufResult(result, operation) = compio_runtime::submit(operation).await;
    (result, operation.memory)
}

struct Command<M> {
    device: RingFile,
    command: DeviceCommand,
    memory: M,
}

// SAFETY: the entry refers to the descriptor, which `self` keeps open, and to what `memory` keeps: the caller's promise.
unsafe impl<M: 'static> OpCode for Command<M> {
    type Control = ();

    fn create_entry(&mut self, _: &mut ()) -> OpEntry {
        let DeviceCommand { operation, arguments, address, length } = self.command;
        let entry = opcode::UringCmd80::new(Fd(self.device.as_raw_fd()), operation);
        with_length(entry.cmd(arguments).addr(Some(address)).build(), length).into()
    }
}

/// `io_uring_sqe.len`, which the builder of device commands has no setter for.
fn with_length(entry: Entry128, length: u32) -> Entry128 {
    const LENGTH_AT: usize = 24;
    let mut entry = std::mem::ManuallyDrop::new(entry);
    // SAFETY: a submission queue entry is 128 bytes of plain data, aligned to 8; `len` is the u32 at offset 24.
    unsafe {
        (&raw mut *entry).cast::<u8>().add(LENGTH_AT).cast::<u32>().write(length);
    }
    std::mem::ManuallyDrop::into_inner(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_lands_where_the_kernel_reads_it() {
        let ours = with_length(opcode::UringCmd80::new(Fd(1), 2).build(), 3);
        // SAFETY: reading plain data of that size.
        let bytes: [u8; 128] = unsafe { std::mem::transmute(ours) };
        assert_eq!(bytes[24..28], 3u32.to_ne_bytes());
        let read: Entry128 = opcode::Read::new(Fd(1), std::ptr::null_mut(), 3).build().into();
        // SAFETY: as above.
        let read: [u8; 128] = unsafe { std::mem::transmute(read) };
        assert_eq!(read[24..28], bytes[24..28], "a READ's length lies in the same place");
    }
}
