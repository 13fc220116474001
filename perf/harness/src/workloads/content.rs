//! The file that reads are measured on: bytes that do not compress, written once and read until they are cached.

use crate::failure::{During, Failure, Outcome};
use crate::interrupt;
use crate::targets::Running;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

pub(super) fn path(target: &Running) -> PathBuf {
    target.root.join("content")
}

/// Writes the file and reads it until it's cached.
pub(super) fn prepare(target: &Running, bytes: u64) -> Outcome<()> {
    let path = path(target);
    write(&path, bytes).during(format_args!("writing {}", path.display()))?;
    read_until_cached(target, bytes)
}

/// The same on a mount that is read-only once the file is there.
pub(super) fn prepare_read_only(target: &Running, bytes: u64) -> Outcome<()> {
    let path = path(target);
    write(&path, bytes).during(format_args!("writing {}", path.display()))?;
    target.make_read_only()?;
    read_until_cached(target, bytes)
}

/// Twice; and some more where that has left holes in the local cache, which may leave out what it has no time for. What is
/// missing then is part of what is measured.
fn read_until_cached(target: &Running, bytes: u64) -> Outcome<()> {
    let path = path(target);
    for pass in 1..=PASSES_MAX {
        let read = read(&path).during(format_args!("reading {}", path.display()))?;
        if read != bytes {
            return Err(Failure::new(format_args!("{} has {read} bytes instead of {bytes}", path.display())));
        }
        if pass >= PASSES_MIN && (target.cache.is_none() || cache_file(target, bytes).is_ok()) {
            break;
        }
    }
    Ok(())
}

pub(super) fn remove(target: &Running) -> Outcome<()> {
    let path = path(target);
    std::fs::remove_file(&path).during(path.display())
}

/// The data file of the local cache for the content of this target, with all its bytes in it.
pub(super) fn cache_file(target: &Running, bytes: u64) -> Outcome<PathBuf> {
    let path = path(target);
    let ino = std::fs::metadata(&path).during(path.display())?.ino();
    let folder = target.cache.as_ref().ok_or_else(|| Failure::new("this target has no local cache"))?;
    let name = format!("{ino:x}.data");
    let file = find(folder, &name)?
        .ok_or_else(|| Failure::new(format_args!("there is no {name} (inode {ino}) below {}", folder.display())))?;
    let metadata = std::fs::metadata(&file).during(file.display())?;
    // Holes would be read without any disk, and compared with.
    let held = metadata.blocks() * 512;
    if metadata.len() < bytes || held < bytes {
        return Err(Failure::new(format_args!(
            "{} holds {held} of {bytes} bytes: the file is not wholly cached, so there is nothing to compare with",
            file.display()
        )));
    }
    Ok(file)
}

fn find(folder: &Path, name: &str) -> Outcome<Option<PathBuf>> {
    for entry in std::fs::read_dir(folder).during(folder.display())? {
        let entry = entry.during(folder.display())?;
        if entry.file_name().to_str() == Some(name) {
            return Ok(Some(entry.path()));
        }
        if entry.file_type().during(folder.display())?.is_dir()
            && let Some(found) = find(&entry.path(), name)?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

pub(super) fn write(path: &Path, bytes: u64) -> Outcome<()> {
    let mut file = File::create(path).during("creating it")?;
    let mut state = 1u64;
    let mut block = vec![0u8; BLOCK_BYTES];
    let mut left = bytes;
    while left > 0 {
        interrupt::check()?;
        for word in block.as_chunks_mut::<8>().0 {
            // Xorshift: fast, and nothing that a compressor would find.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *word = state.to_le_bytes();
        }
        let count = left.min(BLOCK_BYTES as u64);
        file.write_all(&block[..count as usize]).during("a write")?;
        left -= count;
    }
    file.sync_all().during("its fsync")
}

fn read(path: &Path) -> Outcome<u64> {
    let mut file = File::open(path).during("opening it")?;
    // Without what the kernel holds of it, the read would not reach the file system.
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).during("dropping it from memory")?;
    let mut block = vec![0u8; BLOCK_BYTES];
    let mut total = 0;
    loop {
        interrupt::check()?;
        match file.read(&mut block).during("a read")? {
            0 => return Ok(total),
            count => total += count as u64,
        }
    }
}

const BLOCK_BYTES: usize = 1 << 20;
const PASSES_MIN: usize = 2;
const PASSES_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_differs_from_block_to_block() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("content");
        write(&path, (2 << 20) + 5).unwrap();
        assert_eq!(read(&path).unwrap(), (2 << 20) + 5);
        let content = std::fs::read(&path).unwrap();
        assert_ne!(content[..1 << 20], content[1 << 20..2 << 20]);
        assert_eq!(find(folder.path(), "content").unwrap(), Some(path));
        assert_eq!(find(folder.path(), "other").unwrap(), None);
    }
}
