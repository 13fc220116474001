//! One file an operation: its transaction. `Err(MetaError::Refused)` means that nothing is to change.

mod acls;
mod adjust_usage;
mod append;
pub(crate) mod charges;
mod chunks;
mod clone;
mod copy_range;
pub(crate) mod counter;
mod create;
mod create_nameless;
mod end_session;
mod fallocate;
pub(crate) mod feed;
mod forget_objects;
pub(crate) mod heartbeat;
mod inline_data;
mod lease_inodes;
mod lease_objects;
mod link;
pub(crate) mod live_bytes;
mod lock_waits;
mod maintenance;
mod note_accesses;
mod orphan;
mod pack;
pub(crate) mod pack_notes;
mod parent;
mod purge_trash;
mod quota;
mod register_session;
mod release;
mod remove_inode;
mod remove_tree;
mod remove_xattr;
mod rename;
mod repack;
mod repair;
mod replace_slices;
mod rmdir;
mod session;
mod set_attributes;
pub(crate) mod set_flags;
pub(crate) mod set_lock;
mod set_trash;
mod set_xattr;
pub(crate) mod slice_list;
pub(crate) mod stage;
mod sustain;
pub(crate) mod trash;
mod truncate;
mod unlink;
mod walk_quotas;
mod write_inline;
mod write_slices;
mod xattrs;

pub use repair::Repair;

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
        MetaOp::SetFlags(operation) => set_flags::run(transaction, operation),
        MetaOp::NoteAccesses(operation) => note_accesses::run(transaction, operation),
        MetaOp::SetXattr(operation) => set_xattr::run(transaction, operation),
        MetaOp::RemoveXattr(operation) => remove_xattr::run(transaction, operation),
        MetaOp::Truncate(operation) => truncate::run(transaction, operation),
        MetaOp::WriteInline(operation) => write_inline::run(transaction, operation),
        MetaOp::Pack(operation) => pack::run(transaction, operation),
        MetaOp::Repack(operation) => repack::run(transaction, operation),
        MetaOp::ForgetSparsePacks(operation) => pack_notes::forget_sparse(transaction, operation),
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
        MetaOp::SetLock(operation) => set_lock::run(transaction, operation),
        MetaOp::CancelLockWait(operation) => lock_waits::run(transaction, operation),
        MetaOp::Fallocate(operation) => fallocate::run(transaction, operation),
        MetaOp::CopyRange(operation) => copy_range::run(transaction, operation),
        MetaOp::CreateNameless(operation) => create_nameless::run(transaction, operation),
        MetaOp::Append(operation) => append::run(transaction, operation),
        MetaOp::SetQuota(operation) => quota::set(transaction, operation),
        MetaOp::DeleteQuota(operation) => quota::delete(transaction, operation),
        MetaOp::WalkQuotas => walk_quotas::run(transaction),
        MetaOp::AdjustUsage(operation) => adjust_usage::run(transaction, operation),
        MetaOp::SetTrash(operation) => set_trash::run(transaction, operation),
        MetaOp::PurgeTrash(operation) => purge_trash::run(transaction, operation),
        MetaOp::RemoveTree(operation) => remove_tree::run(transaction, operation),
        MetaOp::BeginClone(operation) => clone::begin(transaction, operation),
        MetaOp::FillClone(operation) => clone::fill(transaction, operation),
        MetaOp::FinishClone(operation) => clone::finish(transaction, operation),
        MetaOp::CleanClone(operation) => clone::clean(transaction, operation),
        MetaOp::TrimFeed(operation) => feed::trim(transaction, operation),
        MetaOp::TakeMaintenance(operation) => maintenance::take(transaction, operation),
    }
}
