//! File I/O and readiness on the current shard's ring.

use crate::buffer::AlignedBuffer;
use crate::ring_ops::{Nothing, Poll, ReadRange, WriteBytes, WriteRange};
use compio_buf::BufResult;
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// A file for ring I/O: shared, so that an operation in flight keeps it open.
pub type RingFile = Arc<OwnedFd>;

/// Waits until `file` can be read. With `exclusive`, one of the shards that wait on the same queue is woken, not all.
pub async fn readable(file: &RingFile, exclusive: bool) -> io::Result<()> {
    let BufResult(result, _) = compio_runtime::submit(Poll { file: file.clone(), exclusive }).await;
    result.map(|_| ())
}

/// Returns behind all that the ring had completed when it was called: tasks that waited for it have gone on by then. For
/// tasks: the main future of a shard is polled before them, and so takes messages that came later.
pub async fn ring_turn() {
    let BufResult(result, _) = compio_runtime::submit(Nothing).await;
    // Also a ring that takes no more has been looked at.
    let _ = result;
}

/// Reads file bytes from `offset` into `range` of the buffer's capacity, in one kernel request: the count may be short.
/// The buffer always comes back; its visible length is untouched.
pub async fn read_at(
    file: &RingFile,
    buffer: AlignedBuffer,
    range: Range<usize>,
    offset: u64,
) -> (io::Result<usize>, AlignedBuffer) {
    assert!(range.start <= range.end && range.end <= buffer.capacity(), "range within the buffer");
    let operation = ReadRange { file: file.clone(), buffer, start: range.start, length: range.len(), offset };
    let BufResult(result, operation) = compio_runtime::submit(operation).await;
    (result, operation.buffer)
}

/// Writes `range` of the buffer's capacity at `offset`, in one kernel request: the count may be short.
pub async fn write_at(
    file: &RingFile,
    buffer: AlignedBuffer,
    range: Range<usize>,
    offset: u64,
) -> (io::Result<usize>, AlignedBuffer) {
    assert!(range.start <= range.end && range.end <= buffer.capacity(), "range within the buffer");
    let operation = WriteRange { file: file.clone(), buffer, start: range.start, length: range.len(), offset };
    let BufResult(result, operation) = compio_runtime::submit(operation).await;
    (result, operation.buffer)
}

/// Writes shared bytes at `offset`, in one kernel request: the count may be short.
pub async fn write_bytes_at(file: &RingFile, bytes: bytes::Bytes, offset: u64) -> io::Result<usize> {
    let BufResult(result, _) = compio_runtime::submit(WriteBytes { file: file.clone(), bytes, offset }).await;
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard_threads;
    use std::cell::Cell;
    use std::rc::Rc;

    #[test]
    fn after_a_turn_of_the_ring_whoever_waited_for_it_has_gone_on() {
        let threads = shard_threads(1, false, |_| async {
            let (sender, done) = futures_channel::oneshot::channel();
            crate::spawn(async move {
                for _ in 0..100 {
                    let (reader, writer) = rustix::pipe::pipe().expect("pipe");
                    let (reader, gone_on) = (Arc::new(reader), Rc::new(Cell::new(false)));
                    rustix::io::write(&writer, b"x").expect("written");
                    let seen = gone_on.clone();
                    crate::spawn_eager(async move {
                        readable(&reader, true).await.expect("there is something");
                        seen.set(true);
                    });
                    ring_turn().await;
                    assert!(gone_on.get());
                }
                sender.send(()).expect("the shard waits");
            });
            done.await.expect("the task ends");
        });
        threads.expect("a shard starts").join();
    }

    #[test]
    fn what_the_ring_writes_it_reads_back() {
        let file = tempfile::tempfile().expect("temporary file");
        let file: RingFile = Arc::new(file.into());
        let threads = shard_threads(1, false, move |_| {
            let file = file.clone();
            async move {
                let mut buffer = AlignedBuffer::with_capacity(8192);
                buffer.set_len(8192);
                buffer.fill(3);
                let (written, buffer) = write_at(&file, buffer, 4096..8192, 4096).await;
                assert_eq!(written.expect("write"), 4096);
                let (count, mut buffer) = read_at(&file, buffer, 0..8192, 0).await;
                assert_eq!(count.expect("read"), 8192);
                buffer.set_len(8192);
                assert!(buffer[..4096].iter().all(|byte| *byte == 0));
                assert!(buffer[4096..].iter().all(|byte| *byte == 3));
            }
        });
        threads.expect("threads start").join();
    }
}
