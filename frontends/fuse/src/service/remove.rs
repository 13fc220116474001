//! Names that go away or move: UNLINK, RMDIR, RENAME.

use super::VolumeService;
use rustix::fs::RenameFlags as KernelFlags;
use shoal_client::RenameFlags;
use shoal_fuse_protocol::Header;
use shoal_types::{Errno, FsResult, Ino, Name};

impl VolumeService {
    pub(super) async fn unlink(&self, parent: Ino, name: &[u8]) -> FsResult<()> {
        self.volume.unlink(parent, &Name::new(name)?).await
    }

    pub(super) async fn rmdir(&self, parent: Ino, name: &[u8]) -> FsResult<()> {
        self.volume.rmdir(parent, &Name::new(name)?).await
    }

    pub(super) async fn rename(
        &self,
        header: &Header,
        from: (Ino, &[u8]),
        to: (Ino, &[u8]),
        flags: u32,
    ) -> FsResult<()> {
        let flags = rename_flags(header, flags)?;
        let (old_name, new_name) = (Name::new(from.1)?, Name::new(to.1)?);
        self.volume.rename(from.0, &old_name, to.0, &new_name, flags).await
    }
}

/// From the flags of renameat2(2); `EINVAL` for those we don't know and for a contradiction.
fn rename_flags(header: &Header, flags: u32) -> FsResult<RenameFlags> {
    let flags = KernelFlags::from_bits_retain(flags);
    let unknown = !(KernelFlags::NOREPLACE | KernelFlags::EXCHANGE | KernelFlags::WHITEOUT);
    let contradiction = flags.contains(KernelFlags::EXCHANGE) && flags != KernelFlags::EXCHANGE;
    if flags.intersects(unknown) || contradiction {
        return Err(Errno::EINVAL);
    }
    Ok(RenameFlags {
        no_replace: flags.contains(KernelFlags::NOREPLACE),
        exchange: flags.contains(KernelFlags::EXCHANGE),
        whiteout: flags.contains(KernelFlags::WHITEOUT).then_some((header.uid, header.gid)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLER: Header = Header { opcode: 0, unique: 1, nodeid: 1, uid: 7, gid: 8, pid: 9 };

    #[test]
    fn rename_flags_are_those_of_the_system_call() {
        let flags = |no_replace, exchange, whiteout| Ok(RenameFlags { no_replace, exchange, whiteout });
        assert_eq!(rename_flags(&CALLER, 0), flags(false, false, None));
        assert_eq!(rename_flags(&CALLER, 1), flags(true, false, None));
        assert_eq!(rename_flags(&CALLER, 2), flags(false, true, None));
        assert_eq!(rename_flags(&CALLER, 5), flags(true, false, Some((7, 8))), "the caller's");
        for contradiction in [3, 6] {
            assert_eq!(rename_flags(&CALLER, contradiction), Err(Errno::EINVAL));
        }
    }

    #[test]
    fn unknown_rename_flags_are_refused() {
        assert_eq!(rename_flags(&CALLER, 1 << 20), Err(Errno::EINVAL));
    }
}
