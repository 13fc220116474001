//! Where the plain folder or the mount are known to answer otherwise than the oracle. Nothing else is let through.

use super::call::{Action, Call};
use super::kernel::Kernel;
use rustix::fs::{FallocateFlags, RenameFlags};
use std::collections::BTreeSet;

/// Every reason there is. A long run needs each of them, or it's out of date.
pub fn reasons() -> BTreeSet<&'static str> {
    NOT_MADE.iter().map(|other| other.why).chain(OTHER_TIMES.iter().map(|other| other.why)).collect()
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Side {
    Mount,
    Plain,
}

/// A call that histories don't make, because what it leaves behind would differ from then on.
pub struct LeftOut {
    pub applies: fn(&Call, &Kernel) -> bool,
}

pub const LEFT_OUT: &[LeftOut] = &[
    // ext4 takes O_DIRECT at whole blocks only; FUSE takes any.
    LeftOut { applies: is_unaligned },
    // Nobody tells FUSE of a close through which a process loses the locks that it has by another descriptor, where the
    // file was opened for reading only, and before it had been locked (docs/posix.md).
    LeftOut {
        applies: |call, kernel| match call.action {
            Action::Close { slot } => kernel.description(slot).quiet && kernel.has_locks(call.process, slot),
            _ => false,
        },
    },
];

/// As `LEFT_OUT`, where each process has a mount of its own.
pub const LEFT_OUT_OF_TWO: &[LeftOut] = &[
    // Locks of directories and special files stay within a mount: the kernel tells FUSE of none.
    LeftOut {
        applies: |call, kernel| {
            let locks = matches!(call.action, Action::Flock { .. } | Action::Lock { .. } | Action::TestLock { .. });
            locks && call.action.slots().into_iter().any(|slot| kernel.is_directory(kernel.description(slot).ino))
        },
    },
];

fn is_unaligned(call: &Call, kernel: &Kernel) -> bool {
    let (slot, at, length) = match &call.action {
        Action::Read { slot, at, length } => (*slot, *at, *length),
        Action::Write { slot, at, data } => (*slot, *at, data.length),
        Action::WriteAtEnd { slot, data } => (*slot, None, data.length),
        Action::Copy { from, to, .. } => return [from, to].iter().any(|slot| kernel.description(**slot).direct),
        _ => return false,
    };
    let description = kernel.description(slot);
    let at_end = !matches!(call.action, Action::Read { .. }) && description.append;
    let at = match at {
        _ if at_end || matches!(call.action, Action::WriteAtEnd { .. }) => kernel.attributes(description.ino).length,
        Some(at) => at as u64,
        None => description.position,
    };
    description.direct && !(at.is_multiple_of(PAGE) && (length as u64).is_multiple_of(PAGE))
}

const PAGE: u64 = 4096;

/// A call that isn't made at all on the plain folder, because what it leaves there would be something else.
pub struct NotMade {
    pub why: &'static str,
    pub applies: fn(&Call, &Kernel) -> bool,
}

pub const NOT_MADE: &[NotMade] = &[NotMade {
    why: "ext4 collapses and inserts ranges; to FUSE the kernel does not pass the request on",
    applies: |call, _| {
        let ranges = FallocateFlags::COLLAPSE_RANGE | FallocateFlags::INSERT_RANGE;
        matches!(&call.action, Action::Allocate { flags, .. } if flags.intersects(ranges))
    },
}];

/// A time that changes where it should not, or the other way round: `what` is "a change of mtime" or "of ctime".
pub struct OtherTime {
    pub why: &'static str,
    pub side: Side,
    pub applies: fn(&Call, &str) -> bool,
}

pub const OTHER_TIMES: &[OtherTime] = &[
    OtherTime {
        why: "an attribute set to the value that it has: ext4 leaves it at that",
        side: Side::Plain,
        applies: |call, _| matches!(call.action, Action::SetXattr { .. }),
    },
    OtherTime {
        why: "a rename that is refused: ext4 has made the whiteout by then, and takes it away again",
        side: Side::Plain,
        applies: |call, _| matches!(call.action, Action::Rename { flags, .. } if flags.contains(RenameFlags::WHITEOUT)),
    },
];
