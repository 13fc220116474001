//! Who asks, where the kernel does not say.
//!
//! On a mount that may be idmapped, ids come only with requests that make an inode, mapped as the caller's view of the mount
//! maps them. With all others stands `UNKNOWN`. Whoever needs to know is then told by /proc, by the ids that the caller has
//! on this host: privileges are the host's to give, as on a local file system.

use shoal_fuse_protocol::{Header, Operation};
use shoal_types::Ino;

/// `FUSE_INVALID_UIDGID` of the kernel's fuse.h.
const UNKNOWN: u32 = u32::MAX;

/// The header with the ids of its caller, if they matter to the answer. They stay unknown, which is nobody, where the
/// process can't be seen from here.
pub(super) fn identified(header: Header, ino: Ino, operation: &Operation<'_>) -> Header {
    if header.uid != UNKNOWN || !matters(ino, operation) {
        return header;
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", header.pid)).unwrap_or_default();
    match (id_in(&status, "Uid:"), id_in(&status, "Gid:")) {
        (Some(uid), Some(gid)) => Header { uid, gid, ..header },
        _ => header,
    }
}

fn matters(ino: Ino, operation: &Operation<'_>) -> bool {
    match operation {
        // Limits, and what becomes of set-id bits.
        Operation::Write { .. }
        | Operation::Setattr(_)
        | Operation::Open { .. }
        | Operation::Fallocate { .. }
        | Operation::CopyFileRange { .. }
        // Trusted attributes.
        | Operation::Listxattr { .. }
        // Trees to be copied or removed.
        | Operation::Ioctl { .. } => true,
        Operation::Lookup { .. } | Operation::Readdir { .. } | Operation::Readdirplus { .. } => ino.is_trash(),
        _ => false,
    }
}

/// The file system id: the last of real, effective, saved and file system id (proc_pid_status(5)).
fn id_in(status: &str, line: &str) -> Option<u32> {
    status.lines().find_map(|found| found.strip_prefix(line))?.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header { opcode: 0, unique: 1, nodeid: 1, uid: UNKNOWN, gid: UNKNOWN, pid: 0 };

    #[test]
    fn ids_are_those_of_the_file_system() {
        let status = "Name:\tcat\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n";
        assert_eq!((id_in(status, "Uid:"), id_in(status, "Gid:")), (Some(4), Some(8)));
        assert_eq!(id_in("Uid:\t1\n", "Uid:"), None);
    }

    #[test]
    fn a_caller_is_looked_up_only_where_it_matters() {
        let ourselves = Header { pid: std::process::id(), ..HEADER };
        let ids = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let told = |header, ino, operation: &Operation<'_>| {
            let header = identified(header, ino, operation);
            (header.uid, header.gid)
        };
        let list = Operation::Listxattr { size: 0 };
        let lookup = Operation::Lookup { name: b"a" };
        assert_eq!(told(ourselves, Ino(5), &list), ids);
        assert_eq!(told(ourselves, Ino::TRASH, &lookup), ids);
        assert_eq!(told(ourselves, Ino(5), &lookup), (UNKNOWN, UNKNOWN));
        assert_eq!(told(HEADER, Ino(5), &list), (UNKNOWN, UNKNOWN), "nobody has this number");
        let known = Header { uid: 7, gid: 8, ..ourselves };
        assert_eq!(told(known, Ino(5), &list), (7, 8));
    }
}
