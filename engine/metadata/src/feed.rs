//! The change feed: what each transaction changed, in the order of commits, for those who keep copies and for those who
//! watch.
//!
//! An event is one key, completed by the engine with a stamp that grows in commit order. So writing it conflicts with
//! nothing and costs no round trip, and whoever has read up to one stamp has missed nothing before it. Events are written
//! only while somebody could read them who has not made them himself (`ops::feed`).
//!
//! A follower reads its last event again with the next ones. If that is gone, so may be others: then it has missed something,
//! and begins anew. The newest event is never trimmed.

use crate::operation::{Create, FinishClone, Link, MetaOp, RemoveTree, Rename, Rmdir, Unlink};
use crate::{MetaReply, MetaResult, Metadata};
use serde::{Deserialize, Serialize};
use shoal_types::{FileKind, Ino, Name, SessionId};

/// Where an event stands in the feed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Stamp(pub [u8; 10]);

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// Who made the change.
    pub session: SessionId,
    pub change: Change,
}

/// What one transaction changed. Stored by position: add at the end only.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Change {
    /// The session has begun.
    Joined,
    /// The session has ended.
    Left,
    /// A new inode under a new name.
    Created { parent: Ino, name: Name, ino: Ino, kind: FileKind },
    /// One name more, or the first, for an inode that was there.
    Linked { parent: Ino, name: Name, ino: Ino },
    /// A name is gone, and with a directory all below it. The inode may have others, or lie in the trash.
    Removed { parent: Ino, name: Name, ino: Ino },
    Renamed {
        old_parent: Ino,
        old_name: Name,
        new_parent: Ino,
        new_name: Name,
        ino: Ino,
        /// What had the new name before: replaced, or with `exchanged` now under the old name.
        replaced: Option<Ino>,
        exchanged: bool,
    },
    /// Bytes, and with them length and times.
    Content { ino: Ino },
    /// Anything else about an inode, extended attributes included.
    Attributes { ino: Ino },
    /// Access times.
    Accessed { inodes: Vec<Ino> },
}

impl Change {
    /// What an operation that answered `reply` changed for others, if anything.
    pub fn of(operation: &MetaOp, reply: &MetaReply) -> Option<Self> {
        Some(match (operation, reply) {
            (MetaOp::Create(Create { parent, name, ino, kind, .. }), _) => {
                Change::Created { parent: *parent, name: name.clone(), ino: *ino, kind: *kind }
            }
            (MetaOp::Link(Link { ino, parent, name, .. }), _) => {
                Change::Linked { parent: *parent, name: name.clone(), ino: *ino }
            }
            (MetaOp::FinishClone(FinishClone { clone, parent, name, .. }), _) => {
                Change::Linked { parent: *parent, name: name.clone(), ino: *clone }
            }
            (MetaOp::Unlink(Unlink { parent, name, .. }), MetaReply::Removed(removed))
            | (MetaOp::Rmdir(Rmdir { parent, name, .. }), MetaReply::Removed(removed))
            | (MetaOp::RemoveTree(RemoveTree { parent, name, .. }), MetaReply::Removed(removed)) => {
                Change::Removed { parent: *parent, name: name.clone(), ino: removed.ino }
            }
            (MetaOp::Rename(rename), MetaReply::Renamed(renamed)) => {
                let Rename { old_parent, old_name, new_parent, new_name, exchange, .. } = rename;
                Change::Renamed {
                    old_parent: *old_parent,
                    old_name: old_name.clone(),
                    new_parent: *new_parent,
                    new_name: new_name.clone(),
                    ino: renamed.moved,
                    replaced: renamed.replaced.map(|replaced| replaced.ino),
                    exchanged: *exchange,
                }
            }
            (_, MetaReply::NotInline | MetaReply::CopyBytes(_) | MetaReply::Replaced(false)) => return None,
            (MetaOp::WriteInline(write), _) => Change::Content { ino: write.ino },
            (MetaOp::WriteSlices(write), _) => Change::Content { ino: write.ino },
            (MetaOp::Append(append), _) => Change::Content { ino: append.ino },
            (MetaOp::Truncate(truncate), _) => Change::Content { ino: truncate.ino },
            (MetaOp::Fallocate(fallocate), _) => Change::Content { ino: fallocate.ino },
            (MetaOp::CopyRange(copy), _) => Change::Content { ino: copy.target },
            // Where the bytes lie, and how much room they take.
            (MetaOp::ReplaceSlices(replace), _) => Change::Attributes { ino: replace.ino },
            (MetaOp::SetAttributes(set), _) => Change::Attributes { ino: set.ino },
            (MetaOp::SetFlags(set), _) => Change::Attributes { ino: set.ino },
            (MetaOp::SetXattr(set), _) => Change::Attributes { ino: set.ino },
            (MetaOp::RemoveXattr(remove), _) => Change::Attributes { ino: remove.ino },
            (MetaOp::NoteAccesses(note), _) => {
                Change::Accessed { inodes: note.accesses.iter().map(|(ino, _)| *ino).collect() }
            }
            _ => return None,
        })
    }

    /// Names that stand for something else than before.
    pub fn entries(&self) -> impl Iterator<Item = (Ino, &Name)> {
        let (first, second) = match self {
            Change::Created { parent, name, .. }
            | Change::Linked { parent, name, .. }
            | Change::Removed { parent, name, .. } => (Some((*parent, name)), None),
            Change::Renamed { old_parent, old_name, new_parent, new_name, .. } => {
                (Some((*old_parent, old_name)), Some((*new_parent, new_name)))
            }
            _ => (None, None),
        };
        first.into_iter().chain(second)
    }

    /// Inodes whose attributes may be others than before.
    pub fn inodes(&self) -> Vec<Ino> {
        match self {
            Change::Joined | Change::Left => Vec::new(),
            Change::Created { parent, ino, .. }
            | Change::Linked { parent, ino, .. }
            | Change::Removed { parent, ino, .. } => vec![*parent, *ino],
            Change::Renamed { old_parent, new_parent, ino, replaced, .. } => {
                [*old_parent, *new_parent, *ino].into_iter().chain(*replaced).collect()
            }
            Change::Content { ino } | Change::Attributes { ino } => vec![*ino],
            Change::Accessed { inodes } => inodes.clone(),
        }
    }
}

/// One reader's place in the feed.
#[derive(Clone, Default, Debug)]
pub struct Follower {
    /// The last event that was read.
    last: Option<Stamp>,
}

/// Events read at once.
#[derive(Debug)]
pub struct Page {
    pub events: Vec<Event>,
    /// Events before these were missed.
    pub missed: bool,
    /// There were no more at that moment.
    pub end: bool,
}

impl From<Option<Stamp>> for Follower {
    /// What comes after this event.
    fn from(last: Option<Stamp>) -> Self {
        Follower { last }
    }
}

impl Follower {
    /// From the newest event on.
    pub fn at_end(metadata: &Metadata) -> MetaResult<Self> {
        Ok(Follower { last: metadata.feed_end()? })
    }

    pub fn last(&self) -> Option<Stamp> {
        self.last
    }

    /// What has come since. One round trip, but for a follower that has missed something.
    pub fn read(&mut self, metadata: &Metadata) -> MetaResult<Page> {
        let found = metadata.feed_from(self.last, PAGE_EVENTS)?;
        let end = found.len() < PAGE_EVENTS;
        let known = self.last.is_none() || found.first().map(|(stamp, _)| *stamp) == self.last;
        if !known {
            self.last = metadata.feed_end()?;
            return Ok(Page { events: Vec::new(), missed: true, end: true });
        }
        let read = usize::from(self.last.is_some());
        self.last = found.last().map(|(stamp, _)| *stamp).or(self.last);
        let events = found.into_iter().skip(read).map(|(_, event)| event).collect();
        Ok(Page { events, missed: false, end })
    }
}

const PAGE_EVENTS: usize = 1000;
