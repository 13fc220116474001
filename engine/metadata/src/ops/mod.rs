//! One file an operation: its transaction. `Err(MetaError::Refused)` means that nothing is to change.

mod create;
mod link;
mod unlink;
mod rmdir;
mod rename;
mod set_attributes;
mod truncate;
mod chunks;
pub(crate) mod counter;
pub(crate) mod live_bytes;
pub(crate) mod slice_list;
mod write_inline;
mod write_slices;
mod replace_slices;
mod sustain;
mod release;
mod lease_inodes;
mod lease_objects;
mod register_session;
pub(crate) mod heartbeat;
mod end_session;
mod remove_inode;
mod forget_objects;
mod orphan;
mod parent;
mod session;

use crate::{MetaOp, MetaReply, MetaResult};
use shoal_kv::Transaction;

/// The body of an operation's transaction; it may run several times.
pub(crate) fn run(transaction: &mut dyn Transaction, operation: &MetaOp) -> MetaResult<MetaReply> {
    match operation {
        MetaOp::Create(operation) => create::run(transaction, operation),
        MetaOp::Link(operation) => link::run(transaction, operation),
        MetaOp::Unlink(operation) => unlink::run(transaction, operation),
        MetaOp::Rmdir(operation) => rmdir::run(transaction, operation),
        MetaOp::Rename(operation) => rename::run(transaction, operation),
        MetaOp::SetAttributes(operation) => set_attributes::run(transaction, operation),
        MetaOp::Truncate(operation) => truncate::run(transaction, operation),
        MetaOp::WriteInline(operation) => write_inline::run(transaction, operation),
        MetaOp::WriteSlices(operation) => write_slices::run(transaction, operation),
        MetaOp::ReplaceSlices(operation) => replace_slices::run(transaction, operation),
        MetaOp::Sustain(operation) => sustain::run(transaction, operation),
        MetaOp::Release(operation) => release::run(transaction, operation),
        MetaOp::LeaseInodes(operation) => lease_inodes::run(transaction, operation),
        MetaOp::LeaseObjects(operation) => lease_objects::run(transaction, operation),
        MetaOp::RegisterSession(operation) => register_session::run(transaction, operation),
        MetaOp::Heartbeat(operation) => heartbeat::run(transaction, operation),
        MetaOp::EndSession(operation) => end_session::run(transaction, operation),
        MetaOp::RemoveInode(operation) => remove_inode::run(transaction, operation),
        MetaOp::ForgetObjects(operation) => forget_objects::run(transaction, operation),
    }
}
