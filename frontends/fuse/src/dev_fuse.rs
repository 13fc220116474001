//! The `/dev/fuse` transport: one clone of the connection per shard, read and written without blocking.
//!
//! A shard reads until there is nothing left, and only then asks its ring to wait: under load no request costs a trip
//! through the ring. A reply goes to the clone its request came from, from whatever thread has it.
//!
//! Which idle shard wakes for a request? The kernel wakes exclusive waiters in turn, and so mostly one on another core
//! than the client's; a wake-up across cores can cost more than the request. If all wake, the one on the client's core
//! wins, but the others have woken for nothing. Measured with two shards, 4 KiB reads by one client: 44 µs and 25 µs of
//! server CPU exclusive, 17 and 12 shared; by four clients no difference. So few shards wait shared, many exclusively.

use crate::message::{DATA_PAGE, MESSAGE_START, Message};
use crate::transport::{Received, Reply, ReplyBody, Transport};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno as OsError;
use shoal_fuse_protocol::abi::{IN_HEADER_BYTES, IOCTL_CLONE};
use shoal_fuse_protocol::{Negotiated, out_header};
use shoal_runtime::{AlignedBuffer, RingFile, readable, yield_now};
use shoal_types::Errno;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

pub struct DevFuse {
    device: RingFile,
    /// The buffer for the next read; a message too large to be copied takes it along.
    spare: Option<AlignedBuffer>,
    max_write: usize,
    exclusive: bool,
    reads_in_a_row: u32,
}

pub struct DevFuseReply {
    device: RingFile,
    /// `None` once answered.
    unique: Option<u64>,
}

pub(crate) const DEVICE_PATH: &str = "/dev/fuse";
/// After so many requests other tasks of the shard, and its ring, get a turn.
const READS_IN_A_ROW_MAX: u32 = 16;
/// Idle shards that may all wake for one request.
const SHARED_WAITERS_MAX: usize = 4;
/// Segments of a reply that need no allocation to be listed.
const SEGMENTS_ON_STACK: usize = 16;

pub(crate) fn open_device() -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK;
    Ok(rustix::fs::open(DEVICE_PATH, flags, Mode::empty())?)
}

impl DevFuse {
    /// One of `shards` transports on the connection that `device` belongs to.
    pub(crate) fn clone_of(device: &RingFile, negotiated: &Negotiated, shards: usize) -> io::Result<Self> {
        let device = Arc::new(clone_device(device)?);
        let (max_write, exclusive) = (negotiated.max_write as usize, shards > SHARED_WAITERS_MAX);
        Ok(DevFuse { device, spare: None, max_write, exclusive, reads_in_a_row: 0 })
    }

    fn read(&mut self) -> Result<Received<DevFuseReply>, OsError> {
        let whole = DATA_PAGE + self.max_write;
        let mut buffer = self.spare.take().unwrap_or_else(|| AlignedBuffer::with_capacity(whole));
        buffer.set_len(whole);
        let length = match rustix::io::read(&*self.device, &mut buffer[MESSAGE_START..]) {
            Ok(length) => length,
            Err(error) => {
                self.spare = Some(buffer);
                return Err(error);
            }
        };
        buffer.set_len(MESSAGE_START + length);
        let reply = DevFuseReply::to(&self.device, &buffer[MESSAGE_START..]);
        let message = match Message::inline(&buffer[MESSAGE_START..]) {
            Some(message) => {
                self.spare = Some(buffer);
                message
            }
            None => Message::from_buffer(buffer, MESSAGE_START),
        };
        Ok(Received { message, reply })
    }
}

impl Transport for DevFuse {
    type Reply = DevFuseReply;

    async fn next(&mut self) -> io::Result<Option<Received<DevFuseReply>>> {
        loop {
            if self.reads_in_a_row == READS_IN_A_ROW_MAX {
                self.reads_in_a_row = 0;
                yield_now().await;
            }
            self.reads_in_a_row += 1;
            match self.read() {
                Ok(received) => return Ok(Some(received)),
                Err(OsError::AGAIN) => {
                    self.reads_in_a_row = 0;
                    readable(&self.device, self.exclusive).await?;
                }
                // ENOENT: the request was interrupted before it was read; there may be another.
                Err(OsError::INTR | OsError::NOENT) => {}
                Err(OsError::NODEV | OsError::CONNABORTED) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl DevFuseReply {
    fn to(device: &RingFile, message: &[u8]) -> Self {
        let unique = message.get(8..16).and_then(|bytes| bytes.try_into().ok()).map(u64::from_ne_bytes);
        assert!(message.len() >= IN_HEADER_BYTES, "the kernel sends whole headers");
        DevFuseReply { device: device.clone(), unique }
    }

    fn write(&mut self, result: Result<&[&[u8]], Errno>) {
        let Some(unique) = self.unique.take() else { return };
        let segments = result.unwrap_or_default();
        let body_bytes = segments.iter().map(|segment| segment.len()).sum();
        let header = out_header(unique, result.err(), body_bytes);
        match with_slices(&header, segments, |slices| rustix::io::writev(&*self.device, slices)) {
            Ok(_) => {}
            // The client gave up, or the file system is gone.
            Err(OsError::NOENT | OsError::NODEV | OsError::CONNABORTED) => {}
            Err(error) => tracing::error!(unique, %error, "the kernel did not take a reply"),
        }
    }
}

impl Reply for DevFuseReply {
    fn data_buffer(&mut self, bytes: usize) -> AlignedBuffer {
        AlignedBuffer::with_capacity(bytes)
    }

    fn send(mut self, result: Result<ReplyBody<'_>, Errno>) {
        match result {
            Ok(ReplyBody::Empty) => self.write(Ok(&[])),
            Ok(ReplyBody::Bytes(bytes)) => self.write(Ok(&[bytes])),
            Ok(ReplyBody::Segments(segments)) => self.write(Ok(segments)),
            Ok(ReplyBody::Buffer(mut buffer, range)) => {
                buffer.set_len(range.end);
                self.write(Ok(&[&buffer[range]]));
            }
            Err(errno) => self.write(Err(errno)),
        }
    }

    fn discard(mut self) {
        self.unique = None;
    }
}

impl Drop for DevFuseReply {
    fn drop(&mut self) {
        self.write(Err(Errno::EIO));
    }
}

fn with_slices<T>(header: &[u8], segments: &[&[u8]], write: impl FnOnce(&[IoSlice<'_>]) -> T) -> T {
    if segments.len() <= SEGMENTS_ON_STACK {
        let mut slices = [IoSlice::new(header); SEGMENTS_ON_STACK + 1];
        for (slice, segment) in slices[1..].iter_mut().zip(segments) {
            *slice = IoSlice::new(segment);
        }
        return write(&slices[..=segments.len()]);
    }
    let segments = segments.iter().map(|segment| IoSlice::new(segment));
    write(&std::iter::once(IoSlice::new(header)).chain(segments).collect::<Vec<_>>())
}

/// A descriptor with a queue of its own for the requests it has read. Where the kernel knows no clones the connection
/// is shared instead: slower, with the same outcome.
fn clone_device(device: &RingFile) -> io::Result<OwnedFd> {
    let clone = open_device()?;
    let source = device.as_raw_fd() as u32;
    // SAFETY: FUSE_DEV_IOC_CLONE reads one u32, the number of a /dev/fuse descriptor, which stays open meanwhile.
    let cloned = unsafe { rustix::ioctl::ioctl(&clone, rustix::ioctl::Setter::<{ IOCTL_CLONE }, u32>::new(source)) };
    match cloned {
        Ok(()) => Ok(clone),
        Err(error) => {
            tracing::debug!(%error, "cloning /dev/fuse failed; shards share one descriptor");
            shared(rustix::fd::AsFd::as_fd(device))
        }
    }
}

fn shared(device: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    device.try_clone_to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn reply_into_pipe(answer: impl FnOnce(DevFuseReply)) -> Vec<u8> {
        let (mut reader, writer) = std::io::pipe().expect("pipe");
        answer(DevFuseReply { device: Arc::new(writer.into()), unique: Some(7) });
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).expect("read");
        bytes
    }

    #[test]
    fn a_dropped_reply_answers_eio_once() {
        assert_eq!(reply_into_pipe(drop), out_header(7, Some(Errno::EIO), 0));
        assert_eq!(reply_into_pipe(|reply| reply.send(Err(Errno::EPERM))), out_header(7, Some(Errno::EPERM), 0));
        assert!(reply_into_pipe(Reply::discard).is_empty());
    }

    #[test]
    fn many_segments_follow_the_header_in_order() {
        for count in [0, 1, SEGMENTS_ON_STACK, SEGMENTS_ON_STACK + 1, 100] {
            let bytes: Vec<u8> = (0..count as u8).collect();
            let segments: Vec<&[u8]> = bytes.chunks(1).collect();
            let sent = reply_into_pipe(|reply| reply.send(Ok(ReplyBody::Segments(&segments))));
            assert_eq!(sent[..16], out_header(7, None, count));
            assert_eq!(sent[16..], bytes);
        }
    }

    #[test]
    fn part_of_a_buffer_is_sent_as_the_body() {
        let mut buffer = AlignedBuffer::with_capacity(100);
        buffer.set_len(100);
        buffer.copy_from_slice(&std::array::from_fn::<u8, 100, _>(|index| index as u8));
        let sent = reply_into_pipe(|reply| reply.send(Ok(ReplyBody::Buffer(buffer, 10..13))));
        assert_eq!(sent[16..], [10, 11, 12]);
    }
}
