//! A clone as a mount makes one, in steps so small that trees of a few inodes take several.

use crate::operations::Chooser;
use shoal_kv::Durability;
use shoal_metadata::{
    BeginClone, Caller, CleanClone, CreateNameless, FillClone, FinishClone, MetaOp, MetaReply, Metadata, Release,
};
use shoal_types::{Errno, FsResult, Ino, Name, Timestamp};

pub fn clone_tree(
    metadata: &Metadata,
    chooser: &mut Chooser,
    source: Ino,
    (parent, name): (Ino, &Name),
    now: Timestamp,
) -> FsResult<Ino> {
    let (session, caller) = (chooser.session, Caller::default());
    let (beside, root) = (chooser.new_ino(), chooser.new_ino());
    let run = |operation| metadata.run(operation, Durability::Visible).map_err(|error| error.errno());
    let lifeline = CreateNameless { directory: parent, ino: beside, mode: 0, umask: 0, uid: 0, gid: 0, session, now };
    run(MetaOp::CreateNameless(lifeline))?;
    let begin = BeginClone { source, beside, name: name.clone(), root, caller: caller.clone(), session, now };
    let made = run(MetaOp::BeginClone(begin)).and_then(|reply| {
        let mut progress = reply.into_cloning()?;
        while !progress.filled {
            let inodes = chooser.next_ino..chooser.next_ino + INODES_PER_STEP;
            let fill = FillClone { clone: root, caller: caller.clone(), inodes, session, now };
            progress = run(MetaOp::FillClone(fill))?.into_cloning()?;
            assert_eq!(progress.refusal, None, "root may read everything");
            chooser.next_ino = progress.next_inode;
        }
        assert_eq!(progress.parent, parent);
        // Now and then it's given up in the end.
        match chooser.below(4) {
            0 => Err(Errno::ECANCELED),
            _ => run(MetaOp::FinishClone(FinishClone { clone: root, parent, name: name.clone(), session, now })),
        }
    });
    assert_eq!(run(MetaOp::Release(Release { ino: beside, session, now })), Ok(MetaReply::Done));
    let clean = MetaOp::CleanClone(CleanClone { clone: root, session, queue_at: now });
    while !run(clean.clone())?.into_ended()? {}
    made.map(|_| root)
}

const INODES_PER_STEP: u64 = 3;
