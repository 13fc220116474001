//! A session keeps an inode that has no name: it has it open, or its front end holds it. It takes it off the removal queue
//! if it's there. Another session may keep it as well, and will queue it when it's done with it; whoever still keeps it then
//! takes it off again, before the grace of removals is over.
//!
//! An inode that has a name is left alone, and so is one whose removal has begun: that can't be taken back.

use super::{orphan, session, trash};
use crate::inode;
use crate::keys::Key;
use crate::records::{BEGUN, decode_queued};
use crate::{MetaError, MetaReply, MetaResult, Sustain};
use shoal_kv::Transaction;
use shoal_types::{Errno, Ino};

pub(super) fn run(transaction: &mut dyn Transaction, operation: &Sustain) -> MetaResult<MetaReply> {
    session::require(transaction, operation.session)?;
    let mut kept = Vec::new();
    for ino in operation.inodes.iter().copied() {
        let place = Key::Queued(ino).encode();
        if let Some(queued) = transaction.get(&place)? {
            let time = decode_queued(&queued)?;
            if time == BEGUN {
                continue;
            }
            transaction.delete(&place);
            transaction.delete(&Key::Removal(time, ino).encode());
        } else if !is_nameless(transaction, ino)? {
            continue;
        }
        orphan::sustain(transaction, ino, operation.session);
        kept.push(ino);
    }
    Ok(MetaReply::Sustained(kept))
}

fn is_nameless(transaction: &mut dyn Transaction, ino: Ino) -> MetaResult<bool> {
    match inode::identity(transaction, ino) {
        Err(MetaError::Refused(Errno::ENOENT)) => Ok(false),
        identity => Ok(!trash::has_name(&identity?)),
    }
}
