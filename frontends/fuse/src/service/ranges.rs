//! Ranges of files that change without bytes passing through: FALLOCATE, COPY_FILE_RANGE.
//!
//! Before it asks, the kernel writes back what it holds of the ranges that change and of those that are read; afterwards
//! it drops the pages of those that have changed.

use super::VolumeService;
use rustix::fs::FallocateFlags;
use shoal_client::{Fallocate, Fallocation};
use shoal_fuse_protocol::{Header, copied_out};
use shoal_types::{Errno, FsResult, Ino};

/// The narrow reply counts in 32 bits. Whole pages, so that a copy in pieces stays aligned.
const NARROW_COPY_BYTES_MAX: u64 = !4095 & u32::MAX as u64;

impl VolumeService {
    pub(super) async fn fallocate(
        &self,
        header: &Header,
        ino: Ino,
        offset: u64,
        length: u64,
        mode: u32,
    ) -> FsResult<()> {
        let what = fallocation(mode)?;
        self.drop_privileges_for_range(header, ino).await?;
        self.volume.fallocate(ino, what, offset, length).await
    }

    pub(super) async fn copy_file_range(
        &self,
        header: &Header,
        from: (Ino, u64),
        to: (Ino, u64),
        length: u64,
        flags: u64,
        wide: bool,
    ) -> FsResult<[u8; 8]> {
        if flags != 0 {
            return Err(Errno::EINVAL);
        }
        self.drop_privileges_for_range(header, to.0).await?;
        let length = if wide { length } else { length.min(NARROW_COPY_BYTES_MAX) };
        let copied = self.volume.copy_range(from, to, length).await?;
        Ok(copied_out(copied, wide))
    }
}

/// From the mode of fallocate(2); `EOPNOTSUPP` for what the kernel does not pass on to FUSE: collapsing, inserting,
/// unsharing.
fn fallocation(mode: u32) -> FsResult<Fallocation> {
    let mode = FallocateFlags::from_bits_retain(mode);
    let keep_length = mode.contains(FallocateFlags::KEEP_SIZE);
    let what = match mode - FallocateFlags::KEEP_SIZE {
        FallocateFlags::PUNCH_HOLE if keep_length => Fallocate::Punch,
        FallocateFlags::ZERO_RANGE => Fallocate::Zero,
        rest if rest.is_empty() => Fallocate::Allocate,
        _ => return Err(Errno::EOPNOTSUPP),
    };
    Ok(Fallocation { what, keep_length })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_those_of_the_system_call() {
        let meant = |what, keep_length| Ok(Fallocation { what, keep_length });
        assert_eq!(fallocation(0), meant(Fallocate::Allocate, false));
        assert_eq!(fallocation(libc::FALLOC_FL_KEEP_SIZE as u32), meant(Fallocate::Allocate, true));
        let punch = libc::FALLOC_FL_PUNCH_HOLE as u32;
        assert_eq!(fallocation(punch | libc::FALLOC_FL_KEEP_SIZE as u32), meant(Fallocate::Punch, true));
        assert_eq!(fallocation(libc::FALLOC_FL_ZERO_RANGE as u32), meant(Fallocate::Zero, false));
        assert_eq!(
            fallocation(libc::FALLOC_FL_ZERO_RANGE as u32 | libc::FALLOC_FL_KEEP_SIZE as u32),
            meant(Fallocate::Zero, true)
        );
        let refused = [punch, libc::FALLOC_FL_COLLAPSE_RANGE as u32, libc::FALLOC_FL_INSERT_RANGE as u32, 1 << 30];
        for mode in refused {
            assert_eq!(fallocation(mode), Err(Errno::EOPNOTSUPP), "{mode:#x}");
        }
    }
}
