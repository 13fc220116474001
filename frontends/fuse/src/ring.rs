//! The io_uring transport: requests come and replies go through memory shared with the kernel, on the shard's own ring.
//!
//! The kernel has a queue for each possible CPU, and puts a request into the queue of the CPU its client runs on; so the
//! shard that is pinned there serves it. A queue has entries of ours, each a header and a payload (see
//! `shoal_fuse_protocol::ring`). One command answers a request and fetches the next: under load a request costs no
//! system call of its own, and the bytes of a read go from the disk straight into the payload.
//!
//! Whoever has a request's answer puts it into the entry's memory, on whatever thread; the entry then goes home to the
//! shard that registered it, which commits it: a ring has one thread that submits. FORGET, INTERRUPT and notifications
//! stay on `/dev/fuse`.

use crate::message::Message;
use crate::transport::{Received, Reply, ReplyBody, Transport};
use futures_util::task::AtomicWaker;
use rustix::io::Errno as OsError;
use shoal_fuse_protocol::ring::{
    COMMIT_AND_FETCH, HEADER_BYTES, PAYLOAD_BYTES_MIN, REGISTER, RingRequest, command, write_reply,
};
use shoal_fuse_protocol::{Negotiated, out_header};
use shoal_runtime::{AlignedBuffer, DeviceCommand, RingFile, device_command, spawn};
use shoal_types::Errno;
use std::cell::{Cell, RefCell, UnsafeCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Poll, Waker};

/// The kernel's queues that one shard is going to serve.
pub(crate) struct Queues {
    device: RingFile,
    queues: Vec<u16>,
    entries: usize,
    payload_bytes: usize,
}

/// One shard's end, on that shard.
pub struct FuseRing(Rc<Inbox>);

/// Requests in flight in one queue. Each has a payload of its own, which takes memory once it has been used.
const ENTRIES_MAX: usize = 32;
const ENTRIES_MIN: usize = 4;
/// Payloads of all queues together, if all were used to their end.
const PAYLOAD_BYTES_TOTAL: usize = 256 << 20;
const PAGE: usize = 4096;

impl Queues {
    /// Those of each of `shards` shards; together they are all that the kernel has.
    pub fn for_shards(device: &RingFile, negotiated: &Negotiated, shards: usize) -> io::Result<Vec<Self>> {
        let queues = possible_cpus()?;
        let payload_bytes = (negotiated.max_write as usize).max(PAYLOAD_BYTES_MIN).next_multiple_of(PAGE);
        let entries = PAYLOAD_BYTES_TOTAL / (payload_bytes * usize::from(queues));
        let entries = entries.clamp(ENTRIES_MIN, ENTRIES_MAX);
        let of_shard = |shard| (0..queues).filter(|queue| usize::from(*queue) % shards == shard).collect();
        let shards =
            (0..shards).map(|shard| Queues { device: device.clone(), queues: of_shard(shard), entries, payload_bytes });
        Ok(shards.collect())
    }

    /// Gives the kernel all entries. On the shard that will serve them.
    pub fn open(self) -> FuseRing {
        let inbox = Rc::new(Inbox::default());
        inbox.entries.set(self.queues.len() * self.entries);
        for queue in &self.queues {
            for _ in 0..self.entries {
                let entry = Arc::new(Entry::new(*queue, self.payload_bytes));
                spawn(serve_entry(self.device.clone(), entry, inbox.clone()));
            }
        }
        FuseRing(inbox)
    }
}

impl Transport for FuseRing {
    type Reply = RingReply;

    async fn next(&mut self) -> io::Result<Option<Received<RingReply>>> {
        poll_fn(|context| self.0.poll_next(context.waker())).await
    }
}

/// What the entries of one shard have received.
#[derive(Default)]
struct Inbox {
    received: RefCell<VecDeque<Received<RingReply>>>,
    /// Those that may still receive something.
    entries: Cell<usize>,
    failure: RefCell<Option<io::Error>>,
    waker: RefCell<Option<Waker>>,
}

impl Inbox {
    fn poll_next(&self, waker: &Waker) -> Poll<io::Result<Option<Received<RingReply>>>> {
        if let Some(received) = self.received.borrow_mut().pop_front() {
            return Poll::Ready(Ok(Some(received)));
        }
        if let Some(failure) = self.failure.take() {
            return Poll::Ready(Err(failure));
        }
        if self.entries.get() == 0 {
            return Poll::Ready(Ok(None));
        }
        self.waker.replace(Some(waker.clone()));
        Poll::Pending
    }

    fn push(&self, received: Received<RingReply>) {
        self.received.borrow_mut().push_back(received);
        self.wake();
    }

    fn entry_ended(&self, failure: Option<io::Error>) {
        self.entries.set(self.entries.get() - 1);
        if failure.is_some() {
            self.failure.replace(failure);
        }
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// One entry's life: fetch, let it be answered, commit, until the file system is gone.
async fn serve_entry(device: RingFile, entry: Arc<Entry>, inbox: Rc<Inbox>) {
    let places = entry.places();
    let mut next = DeviceCommand {
        operation: REGISTER,
        arguments: command(entry.queue, 0),
        address: places.as_ptr() as u64,
        length: places.len() as u32,
    };
    loop {
        // SAFETY: the driver touches the entry's memory, which stays where it is, and the list of its places, both of
        // them only until it completes the command. Nobody else does: the last right to it was dropped (`answered`).
        let (completed, _) = unsafe { device_command(&device, next, (entry.clone(), places.clone())).await };
        match completed {
            Ok(_) => {}
            Err(error) if is_end(&error) => return inbox.entry_ended(None),
            Err(error) => return inbox.entry_ended(Some(error)),
        }
        let turn = Turn::begin(&entry);
        let commit_id = match turn.request() {
            Some((message, commit_id, unique)) => {
                let reply = RingReply { turn, unique, lent: false };
                inbox.push(Received { message, reply });
                commit_id
            }
            None => return inbox.entry_ended(Some(io::ErrorKind::InvalidData.into())),
        };
        entry.answered().await;
        let arguments = command(entry.queue, commit_id);
        next = DeviceCommand { operation: COMMIT_AND_FETCH, arguments, address: 0, length: 0 };
    }
}

/// Unmounted, or aborted.
fn is_end(error: &io::Error) -> bool {
    let error = OsError::from_io_error(error);
    matches!(error, Some(OsError::NOTCONN | OsError::CONNABORTED | OsError::NODEV | OsError::CANCELED))
}

/// Memory that one request at a time passes through.
struct Entry {
    queue: u16,
    header: UnsafeCell<Header>,
    /// Never looked at as a buffer: it only owns the memory.
    payload: AlignedBuffer,
    payload_bytes: usize,
    /// The request that was fetched last has its answer.
    answered: AtomicBool,
    home: AtomicWaker,
}

#[repr(C, align(64))]
struct Header([u8; HEADER_BYTES]);

// SAFETY: header and payload are touched only by the kernel while a command is in flight, by the entry's own task before
// it hands the request out, and through the one `Turn` after that; `answered` orders the last two.
unsafe impl Sync for Entry {}

impl Entry {
    fn new(queue: u16, payload_bytes: usize) -> Self {
        // Room for one page more than the kernel is told about: direct reads that are rounded out end there.
        let payload = AlignedBuffer::with_capacity(payload_bytes + PAGE);
        let header = UnsafeCell::new(Header([0; HEADER_BYTES]));
        Entry { queue, header, payload, payload_bytes, answered: AtomicBool::new(false), home: AtomicWaker::new() }
    }

    /// What REGISTER tells the kernel.
    fn places(&self) -> Arc<[Place; 2]> {
        let header = Place { start: self.header.get() as u64, bytes: HEADER_BYTES as u64 };
        let payload = Place { start: self.payload_start().as_ptr() as u64, bytes: self.payload_bytes as u64 };
        Arc::new([header, payload])
    }

    fn payload_start(&self) -> NonNull<u8> {
        NonNull::new(self.payload.as_ptr().cast_mut()).expect("buffers have memory")
    }

    /// Resolves once the last right to touch the memory is gone.
    async fn answered(&self) {
        poll_fn(|context| {
            self.home.register(context.waker());
            match self.answered.swap(false, Ordering::Acquire) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }
}

/// `struct iovec`.
#[repr(C)]
struct Place {
    start: u64,
    bytes: u64,
}

/// The right to touch an entry's memory between a request and its commit. It is shared by the reply and by the buffer
/// that was lent to fill the payload; the reply is committed when both are gone.
struct Turn {
    entry: Arc<Entry>,
    /// The body of a reply that was given while the payload was still lent.
    late: OnceLock<Vec<u8>>,
}

impl Turn {
    fn begin(entry: &Arc<Entry>) -> Arc<Self> {
        Arc::new(Turn { entry: entry.clone(), late: OnceLock::new() })
    }

    /// The message, the commit id and the unique number of the request that has come; `None` if it makes no sense.
    fn request(&self) -> Option<(Message, u64, u64)> {
        // SAFETY: the kernel has completed its command, and nobody else has this turn yet.
        let (header, payload) = unsafe {
            let payload = std::slice::from_raw_parts(self.entry.payload_start().as_ptr(), self.entry.payload_bytes);
            (&(*self.entry.header.get()).0, payload)
        };
        let request = RingRequest::parse(header, payload)?;
        Some((Message::from_parts(&request.parts()), request.commit_id, request.unique))
    }

    /// # Safety
    /// Nobody else touches the header meanwhile: only the one reply of this turn may call it.
    unsafe fn answer(&self, unique: u64, error: Option<Errno>, payload_bytes: usize) {
        // SAFETY: the caller's promise; the kernel touches it only between commit and completion.
        let header = unsafe { &mut (*self.entry.header.get()).0 };
        write_reply(header, &out_header(unique, error, payload_bytes), payload_bytes);
    }

    /// # Safety
    /// Nobody else touches the payload meanwhile.
    unsafe fn fill(&self, segments: &[&[u8]]) {
        let mut left = self.entry.payload_bytes;
        let mut at = self.entry.payload_start().as_ptr();
        for segment in segments {
            left = left.checked_sub(segment.len()).expect("no reply is larger than what was agreed");
            // SAFETY: within the payload, as `left` tells, and nobody else's: the caller's promise.
            unsafe {
                at.copy_from_nonoverlapping(segment.as_ptr(), segment.len());
                at = at.add(segment.len());
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(body) = self.late.take() {
            // SAFETY: the last to have the turn, and before the kernel gets the memory.
            unsafe { self.fill(&[&body]) };
        }
        self.entry.answered.store(true, Ordering::Release);
        self.entry.home.wake();
    }
}

pub struct RingReply {
    turn: Arc<Turn>,
    /// 0 once answered.
    unique: u64,
    /// The payload was lent to somebody, who may still fill it.
    lent: bool,
}

impl RingReply {
    fn answer(&mut self, result: Result<usize, Errno>) {
        let unique = std::mem::take(&mut self.unique);
        if unique != 0 {
            // SAFETY: this is the turn's one reply, and this the one time that it is given.
            unsafe { self.turn.answer(unique, result.err(), result.unwrap_or(0)) };
        }
    }

    fn fill(&mut self, segments: &[&[u8]]) {
        if Arc::get_mut(&mut self.turn).is_some() {
            // SAFETY: nobody else has this turn.
            unsafe { self.turn.fill(segments) };
        } else {
            self.turn.late.set(segments.concat()).expect("a reply is given once");
        }
        self.answer(Ok(segments.iter().map(|segment| segment.len()).sum()));
    }
}

impl Reply for RingReply {
    fn data_buffer(&mut self, bytes: usize) -> AlignedBuffer {
        let entry = &self.turn.entry;
        if bytes > entry.payload_bytes || std::mem::replace(&mut self.lent, true) {
            return AlignedBuffer::with_capacity(bytes);
        }
        // SAFETY: the payload is initialized and page-aligned, the turn keeps it until the buffer is gone, and nobody
        // else touches it: it is lent once, and `send` writes into it only what is not lent.
        unsafe { AlignedBuffer::lent(entry.payload_start(), entry.payload.capacity(), self.turn.clone()) }
    }

    fn send(mut self, result: Result<ReplyBody<'_>, Errno>) {
        match result {
            Ok(ReplyBody::Empty) => self.answer(Ok(0)),
            Ok(ReplyBody::Bytes(bytes)) => self.fill(&[bytes]),
            Ok(ReplyBody::Segments(segments)) => self.fill(segments),
            Ok(ReplyBody::Buffer(mut buffer, range)) => {
                buffer.set_len(range.end);
                if buffer.as_ptr() == self.turn.entry.payload_start().as_ptr() {
                    let bytes = range.len();
                    buffer.copy_within(range, 0);
                    self.answer(Ok(bytes));
                } else {
                    self.fill(&[&buffer[range]]);
                }
            }
            Err(errno) => self.answer(Err(errno)),
        }
    }

    fn discard(mut self) {
        // Nothing that comes through a ring goes unanswered: the entry would be lost.
        self.answer(Ok(0));
    }
}

impl Drop for RingReply {
    fn drop(&mut self) {
        self.answer(Err(Errno::EIO));
    }
}

/// As many as the kernel has queues for: CPUs that may ever be there, not only those that are.
fn possible_cpus() -> io::Result<u16> {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/possible")?;
    count_cpus(&text).ok_or_else(|| io::Error::other(format!("the list of possible CPUs is not understood: {text:?}")))
}

/// Of a list such as `0-3,8-11`.
fn count_cpus(list: &str) -> Option<u16> {
    list.trim().split(',').try_fold(0u16, |count, range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
        count.checked_add(last.checked_sub(first)?.checked_add(1)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Arc<Entry> {
        Arc::new(Entry::new(0, 2 * PAGE))
    }

    fn begin(entry: &Arc<Entry>) -> RingReply {
        RingReply { turn: Turn::begin(entry), unique: 7, lent: false }
    }

    fn is_answered(entry: &Entry) -> bool {
        entry.answered.swap(false, Ordering::Acquire)
    }

    /// The reply's header and body, as the kernel would read them.
    fn answer(entry: &Entry) -> (Vec<u8>, Vec<u8>) {
        // SAFETY: no turn is left.
        let header = unsafe { (*entry.header.get()).0 };
        let bytes = u32::from_ne_bytes(header[272..276].try_into().unwrap()) as usize;
        // SAFETY: as above; the count was checked when it was written.
        let body = unsafe { std::slice::from_raw_parts(entry.payload_start().as_ptr(), bytes) };
        (header[..16].to_vec(), body.to_vec())
    }

    #[test]
    fn every_kind_of_reply_lands_in_the_entry() {
        let entry = entry();
        begin(&entry).send(Ok(ReplyBody::Segments(&[b"ab", b"", b"c"])));
        assert!(is_answered(&entry));
        assert_eq!(answer(&entry), (out_header(7, None, 3).to_vec(), b"abc".to_vec()));
        begin(&entry).send(Ok(ReplyBody::Empty));
        assert_eq!(answer(&entry), (out_header(7, None, 0).to_vec(), vec![]));
        begin(&entry).send(Err(Errno::EPERM));
        assert_eq!(answer(&entry), (out_header(7, Some(Errno::EPERM), 0).to_vec(), vec![]));
        let mut foreign = AlignedBuffer::with_capacity(10);
        foreign.set_len(10);
        foreign.copy_from_slice(b"0123456789");
        begin(&entry).send(Ok(ReplyBody::Buffer(foreign, 2..5)));
        assert_eq!(answer(&entry).1, b"234");
    }

    #[test]
    fn the_lent_payload_is_sent_in_place_from_wherever_the_bytes_begin() {
        let entry = entry();
        for range in [0..5, 2..5, 4000..4003] {
            let mut reply = begin(&entry);
            let mut buffer = reply.data_buffer(PAGE);
            assert_eq!(buffer.as_ptr(), entry.payload.as_ptr());
            buffer.set_len(PAGE);
            buffer[range.clone()].fill(9);
            reply.send(Ok(ReplyBody::Buffer(buffer, range.clone())));
            assert!(is_answered(&entry));
            assert_eq!(answer(&entry).1, vec![9; range.len()]);
        }
        let mut reply = begin(&entry);
        let _lent = reply.data_buffer(1);
        assert_ne!(reply.data_buffer(1).as_ptr(), entry.payload.as_ptr(), "it is lent once");
    }

    #[test]
    fn an_answer_waits_for_the_lent_payload_to_come_back() {
        let entry = entry();
        let mut reply = begin(&entry);
        let mut lent = reply.data_buffer(3);
        reply.send(Ok(ReplyBody::Bytes(b"new")));
        assert!(!is_answered(&entry), "somebody may still write into the payload");
        lent.set_len(3);
        lent.copy_from_slice(b"old");
        drop(lent);
        assert!(is_answered(&entry));
        assert_eq!(answer(&entry).1, b"new");
    }

    #[test]
    fn a_dropped_reply_answers_eio() {
        let entry = entry();
        drop(begin(&entry));
        assert!(is_answered(&entry));
        assert_eq!(answer(&entry).0, out_header(7, Some(Errno::EIO), 0));
    }

    #[test]
    fn every_possible_cpu_is_counted() {
        for (list, count) in [("0\n", 1), ("0-1", 2), ("0-3,8,10-11\n", 7)] {
            assert_eq!(count_cpus(list), Some(count));
        }
        for list in ["", "x", "3-1", "0-65535"] {
            assert_eq!(count_cpus(list), None, "{list}");
        }
    }
}
