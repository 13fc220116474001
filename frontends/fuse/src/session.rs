//! The loop that serves one shard's requests.

use crate::interrupts::Interrupts;
use crate::message::Message;
use crate::transport::{Received, Reply, ReplyBody, Transport};
use shoal_fuse_protocol::abi::opcode;
use shoal_fuse_protocol::{Operation, Request};
use shoal_runtime::spawn_eager;
use shoal_types::Errno;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

/// Answers the requests that one shard receives.
pub trait Service<R: Reply>: 'static {
    /// Handles one request to its end. It is polled once in place; what must wait then goes on as a task of the shard,
    /// beside other requests. Begin with `open`.
    fn dispatch(self: Rc<Self>, received: Received<R>) -> impl Future<Output = ()> + 'static;

    /// The kernel has forgotten `lookups` of the times it was told about `inode`.
    fn forget(&self, inode: u64, lookups: u64);

    /// The file system is being unmounted; may never be called.
    fn destroy(&self) {}
}

/// Serves requests until the file system is unmounted. `interrupts` is shared by all shards of a mount.
pub async fn serve<T, S>(mut transport: T, service: Rc<S>, interrupts: Arc<Interrupts>) -> io::Result<()>
where
    T: Transport,
    S: Service<T::Reply>,
{
    while let Some(received) = transport.next().await? {
        match received.message.opcode() {
            Some(code) if is_unanswered(code) => {
                received.reply.discard();
                take_note(&received.message, &*service, &interrupts);
            }
            Some(opcode::DESTROY) => {
                service.destroy();
                received.reply.send(Ok(ReplyBody::Empty));
            }
            // INIT was answered before the first shard began.
            Some(opcode::INIT) => received.reply.send(Err(Errno::EIO)),
            _ => spawn_eager(service.clone().dispatch(received)),
        }
    }
    Ok(())
}

/// The messages that the kernel expects no answer to.
pub(crate) fn is_unanswered(code: u32) -> bool {
    matches!(code, opcode::FORGET | opcode::BATCH_FORGET | opcode::INTERRUPT | opcode::NOTIFY_REPLY)
}

fn take_note<R: Reply, S: Service<R>>(message: &Message, service: &S, interrupts: &Interrupts) {
    let request = match message.parse() {
        Ok(request) => request,
        Err(malformed) => return tracing::error!(%malformed, "a message was ignored"),
    };
    match request.operation {
        Operation::Forget { lookups } => service.forget(request.header.nodeid, lookups),
        Operation::BatchForget(list) => list.iter().for_each(|(inode, lookups)| service.forget(inode, lookups)),
        Operation::Interrupt { unique } => interrupts.interrupt(unique),
        _ => {}
    }
}

/// The parsed request beside its reply; a malformed one is answered here, and there is nothing left to do.
pub fn open<R: Reply>(message: &Message, reply: R) -> Option<(Request<'_>, R)> {
    match message.parse() {
        Ok(request) => Some((request, reply)),
        Err(malformed) => {
            tracing::error!(%malformed, "a request was refused");
            reply.send(Err(malformed.errno));
            None
        }
    }
}
