//! What a transport is: it yields requests and takes their replies. All that lies above knows only these traits.

use crate::message::Message;
use shoal_runtime::AlignedBuffer;
use shoal_types::Errno;
use std::future::Future;
use std::io;
use std::ops::Range;

/// One shard's end of a connection to a kernel.
pub trait Transport: 'static {
    type Reply: Reply;

    /// The next request; `None` once the file system is unmounted. Dropping the future loses no request.
    fn next(&mut self) -> impl Future<Output = io::Result<Option<Received<Self::Reply>>>>;
}

/// A request and the one way to answer it.
pub struct Received<R> {
    pub message: Message,
    pub reply: R,
}

/// The answer to one request, to be given from any thread, exactly once. A reply that is dropped answers EIO, so that
/// no client waits for ever.
pub trait Reply: Send + 'static {
    /// Where the bytes of a READ are best put before they are sent: at least `bytes` of capacity, page-aligned.
    fn data_buffer(&mut self, bytes: usize) -> AlignedBuffer;

    fn send(self, result: Result<ReplyBody<'_>, Errno>);

    /// For the requests that are never answered.
    fn discard(self);
}

/// What follows the header of a reply.
pub enum ReplyBody<'a> {
    Empty,
    Bytes(&'a [u8]),
    /// Sent one after the other, without being joined first.
    Segments(&'a [&'a [u8]]),
    /// This part of a buffer, best one from `data_buffer`.
    Buffer(AlignedBuffer, Range<usize>),
}
