//! Which stamps an operation raises. Known from the operation itself, so that no caller can forget one, and raised by
//! whoever learns of the commit, so that it happens also when the caller is gone by then.

use crate::stamps::Stamps;
use crate::whole_directories::WholeDirectories;
use shoal_metadata::{MetaOp, MetaReply};
use shoal_types::{Ino, Name};

#[derive(Default)]
pub(crate) struct Touched {
    entries: Vec<(Ino, Name)>,
    inodes: Vec<Ino>,
}

impl Touched {
    pub fn of(operation: &MetaOp) -> Self {
        match operation {
            MetaOp::Create(create) => Self::entry(create.parent, &create.name),
            MetaOp::Link(link) => Self::entry(link.parent, &link.name).inode(link.ino),
            MetaOp::Unlink(unlink) => Self::entry(unlink.parent, &unlink.name),
            MetaOp::Rmdir(rmdir) => Self::entry(rmdir.parent, &rmdir.name),
            MetaOp::Rename(rename) => {
                let mut touched = Self::entry(rename.old_parent, &rename.old_name).inode(rename.new_parent);
                touched.entries.push((rename.new_parent, rename.new_name.clone()));
                touched
            }
            MetaOp::SetAttributes(set) => Self::default().inode(set.ino),
            MetaOp::NoteAccesses(note) => {
                Touched { inodes: note.accesses.iter().map(|(ino, _)| *ino).collect(), ..Self::default() }
            }
            MetaOp::SetFlags(set) => Self::default().inode(set.ino),
            MetaOp::SetXattr(set) => Self::default().inode(set.ino),
            MetaOp::RemoveXattr(remove) => Self::default().inode(remove.ino),
            MetaOp::Truncate(truncate) => Self::default().inode(truncate.ino),
            MetaOp::Fallocate(fallocate) => Self::default().inode(fallocate.ino),
            MetaOp::CopyRange(copy) => Self::default().inode(copy.target),
            MetaOp::WriteInline(write) => Self::default().inode(write.ino),
            MetaOp::WriteSlices(write) => Self::default().inode(write.ino),
            MetaOp::RemoveInode(remove) => Self::default().inode(remove.ino),
            MetaOp::ReplaceSlices(replace) => Self::default().inode(replace.ino),
            MetaOp::Append(append) => Self::default().inode(append.ino),
            MetaOp::CreateNameless(create) => Self::default().inode(create.ino),
            MetaOp::RemoveTree(remove) => Self::entry(remove.parent, &remove.name).inode(remove.ino),
            MetaOp::FinishClone(finish) => Self::entry(finish.parent, &finish.name).inode(finish.clone),
            MetaOp::Sustain(_)
            | MetaOp::Release(_)
            | MetaOp::LeaseInodes(_)
            | MetaOp::LeaseObjects(_)
            | MetaOp::RegisterSession(_)
            | MetaOp::Heartbeat(_)
            | MetaOp::EndSession(_)
            | MetaOp::ForgetObjects(_)
            | MetaOp::SetLock(_)
            | MetaOp::CancelLockWait(_)
            | MetaOp::SetQuota(_)
            | MetaOp::DeleteQuota(_)
            | MetaOp::WalkQuotas
            | MetaOp::SetTrash(_)
            | MetaOp::PurgeTrash(_)
            | MetaOp::AdjustUsage(_)
            | MetaOp::TrimFeed(_)
            | MetaOp::TakeMaintenance(_)
            // No byte and no attribute changes.
            | MetaOp::Pack(_)
            | MetaOp::Repack(_)
            | MetaOp::ForgetSparsePacks(_)
            // What they make nobody has seen.
            | MetaOp::BeginClone(_)
            | MetaOp::FillClone(_)
            | MetaOp::CleanClone(_) => Self::default(),
        }
    }

    fn entry(parent: Ino, name: &Name) -> Self {
        Touched { entries: vec![(parent, name.clone())], inodes: vec![parent] }
    }

    fn inode(mut self, ino: Ino) -> Self {
        self.inodes.push(ino);
        self
    }

    /// Before the operation is submitted: what it may make is missing no more.
    pub fn announce(&self, whole: &WholeDirectories) {
        self.entries.iter().for_each(|(parent, name)| whole.add(*parent, name));
    }

    /// After the end of the operation, whatever it was: one that failed may have committed all the same.
    pub fn raise(&self, stamps: &Stamps, reply: Option<&MetaReply>) {
        for (parent, name) in &self.entries {
            stamps.raise_entry(*parent, name);
        }
        self.inodes.iter().for_each(|ino| stamps.raise_attributes(*ino));
        match reply {
            Some(MetaReply::Removed(removed)) => stamps.raise_attributes(removed.ino),
            Some(MetaReply::Renamed(renamed)) => {
                stamps.raise_attributes(renamed.moved);
                renamed.replaced.iter().for_each(|replaced| stamps.raise_attributes(replaced.ino));
            }
            Some(MetaReply::Emptied(emptied)) => emptied.inodes.iter().for_each(|ino| stamps.raise_attributes(*ino)),
            _ => {}
        }
    }
}
