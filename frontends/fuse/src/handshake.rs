//! INIT: the first exchange on a new connection, before any shard serves it.

use crate::session::is_unanswered;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno as OsError;
use shoal_fuse_protocol::abi::READ_BUFFER_BYTES_MIN;
use shoal_fuse_protocol::{Config, Negotiated, Operation, Refused, Request, negotiate, out_header};
use shoal_types::Errno;
use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    #[error("the kernel sent no INIT within {} s", TIME_MAX.as_secs())]
    TimedOut,
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("the FUSE connection ended before it began")]
    Ended,
    #[error("reading or writing /dev/fuse")]
    Device(#[source] io::Error),
}

const TIME_MAX: Duration = Duration::from_secs(10);

/// Waits for INIT and answers it. Blocks the calling thread.
pub(crate) fn answer_init(device: &OwnedFd, config: &Config) -> Result<Negotiated, HandshakeError> {
    let deadline = Instant::now() + TIME_MAX;
    loop {
        let message = read_message(device, deadline)?;
        let Ok(Request { header, operation }) = Request::parse(&message) else {
            return Err(HandshakeError::Device(io::ErrorKind::InvalidData.into()));
        };
        let Operation::Init(offer) = operation else {
            if !is_unanswered(header.opcode) {
                write_reply(device, header.unique, Some(Errno::EIO), &[])?;
            }
            continue;
        };
        match negotiate(&offer, config) {
            Ok((negotiated, reply)) => {
                write_reply(device, header.unique, None, &reply)?;
                return Ok(negotiated);
            }
            Err(Refused::NewerMajor(reply)) => write_reply(device, header.unique, None, &reply)?,
            Err(refused) => {
                write_reply(device, header.unique, Some(Errno::EPROTO), &[])?;
                return Err(refused.into());
            }
        }
    }
}

fn read_message(device: &OwnedFd, deadline: Instant) -> Result<Vec<u8>, HandshakeError> {
    let mut message = vec![0; READ_BUFFER_BYTES_MIN];
    loop {
        match rustix::io::read(device, &mut message[..]) {
            Ok(length) => {
                message.truncate(length);
                return Ok(message);
            }
            Err(OsError::AGAIN) => wait(device, deadline)?,
            Err(OsError::INTR | OsError::NOENT) => {}
            Err(OsError::NODEV | OsError::CONNABORTED) => return Err(HandshakeError::Ended),
            Err(error) => return Err(HandshakeError::Device(error.into())),
        }
    }
}

fn wait(device: &OwnedFd, deadline: Instant) -> Result<(), HandshakeError> {
    let left = deadline.checked_duration_since(Instant::now()).ok_or(HandshakeError::TimedOut)?;
    let left = Timespec::try_from(left).expect("at most a few seconds");
    match poll(&mut [PollFd::new(device, PollFlags::IN)], Some(&left)) {
        Ok(0) => Err(HandshakeError::TimedOut),
        Ok(_) | Err(OsError::INTR) => Ok(()),
        Err(error) => Err(HandshakeError::Device(error.into())),
    }
}

fn write_reply(device: &OwnedFd, unique: u64, error: Option<Errno>, body: &[u8]) -> Result<(), HandshakeError> {
    let header = out_header(unique, error, body.len());
    match rustix::io::writev(device, &[IoSlice::new(&header), IoSlice::new(body)]) {
        Ok(_) => Ok(()),
        Err(error) => Err(HandshakeError::Device(error.into())),
    }
}
