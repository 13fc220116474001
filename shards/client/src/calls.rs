//! File-system calls for front ends that don't live on a shard.
//!
//! Files need not be opened: state that a call needs lasts for the call, and for as long as something is buffered. Who
//! reads and writes one file much should open it, so that its state is kept in between.

use crate::{
    Access, AttributeChanges, DirectoryEntry, Fallocation, LocalVolume, NewInode, Opened, RemovedFiles, RenameFlags,
    SeekTo, Volume,
};
use bytes::Bytes;
use futures_channel::oneshot;
use shoal_runtime::AlignedBuffer;
use shoal_types::{Attributes, Errno, FsResult, Ino, Name};
use std::rc::Rc;

/// Bytes that one call reads; a longer read is answered short.
const READ_BYTES_MAX: usize = 16 << 20;
const ENTRIES_PER_PAGE: usize = 1024;

impl Volume {
    /// The inode at a slash-separated path from the root. Symbolic links are not followed.
    pub async fn lookup_path(&self, path: &[u8]) -> FsResult<Attributes> {
        let names = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).map(Name::new);
        let names: Vec<Name> = names.collect::<FsResult<_>>()?;
        self.call(Ino::ROOT, move |local| async move {
            let mut found = local.get_attributes(Ino::ROOT).await?;
            for name in &names {
                found = local.lookup(found.ino, name).await?;
            }
            Ok(found)
        })
        .await
    }

    pub async fn get_attributes(&self, ino: Ino) -> FsResult<Attributes> {
        self.call(ino, move |local| async move { local.get_attributes(ino).await }).await
    }

    pub async fn set_attributes(&self, ino: Ino, changes: AttributeChanges) -> FsResult<Attributes> {
        self.call(ino, move |local| async move { local.set_attributes(ino, changes).await }).await
    }

    /// A file, directory, symbolic link or whatever `new` says.
    pub async fn create(&self, parent: Ino, name: &Name, new: NewInode) -> FsResult<Attributes> {
        let name = name.clone();
        self.call(parent, move |local| async move { local.create(parent, &name, new).await }).await
    }

    pub async fn unlink(&self, parent: Ino, name: &Name) -> FsResult<()> {
        let name = name.clone();
        self.call(parent, move |local| async move { local.unlink(parent, &name).await }).await
    }

    pub async fn rmdir(&self, parent: Ino, name: &Name) -> FsResult<()> {
        let name = name.clone();
        self.call(parent, move |local| async move { local.rmdir(parent, &name).await }).await
    }

    pub async fn rename(&self, from: (Ino, &Name), to: (Ino, &Name), flags: RenameFlags) -> FsResult<()> {
        let (old_parent, old_name) = (from.0, from.1.clone());
        let (new_parent, new_name) = (to.0, to.1.clone());
        self.call(old_parent, move |local| async move {
            local.rename(old_parent, &old_name, new_parent, &new_name, flags).await
        })
        .await
    }

    /// All entries, in the order of their cookies, with attributes.
    pub async fn read_directory(&self, ino: Ino) -> FsResult<Vec<DirectoryEntry>> {
        self.call(ino, move |local| async move {
            let mut entries = Vec::new();
            loop {
                let cookie = entries.last().map_or(0, |entry: &DirectoryEntry| entry.cookie);
                let page = local.read_directory(ino, cookie, ENTRIES_PER_PAGE, true).await?;
                entries.extend(page.entries);
                if page.end {
                    return Ok(entries);
                }
            }
        })
        .await
    }

    pub async fn open(&self, ino: Ino, access: Access) -> FsResult<Opened> {
        self.call(ino, move |local| async move { local.open(ino, access, RemovedFiles::Opened).await }).await
    }

    pub async fn close(&self, ino: Ino) -> FsResult<()> {
        self.call(ino, move |local| async move {
            local.close(ino).await;
            Ok(())
        })
        .await
    }

    /// Up to `length` bytes at `offset`; fewer at the end of the file.
    pub async fn read(&self, ino: Ino, offset: u64, length: usize) -> FsResult<Bytes> {
        self.call(ino, move |local| async move {
            let length = length.min(READ_BYTES_MAX);
            let (sender, receiver) = oneshot::channel();
            let respond = answer(sender);
            local.read(ino, offset, length, AlignedBuffer::with_capacity(length), respond).await;
            let (count, buffer) = receiver.await.unwrap_or(Err(Errno::EIO))?;
            Ok(buffer.into_bytes().slice(..count))
        })
        .await
    }

    /// Buffers all of `data`, on behalf of the superuser.
    pub async fn write(&self, ino: Ino, offset: u64, data: Bytes) -> FsResult<u32> {
        self.call(ino, move |local| async move {
            let (sender, receiver) = oneshot::channel();
            local.write(ino, offset, data, true, answer(sender)).await;
            receiver.await.unwrap_or(Err(Errno::EIO))
        })
        .await
    }

    /// Commits what is buffered: every mount sees it.
    pub async fn flush(&self, ino: Ino) -> FsResult<()> {
        self.call(ino, move |local: Rc<LocalVolume>| async move {
            let (sender, receiver) = oneshot::channel();
            local.flush(ino, answer(sender)).await;
            receiver.await.unwrap_or(Err(Errno::EIO))
        })
        .await
    }

    /// The first data or hole at or behind `offset`; `ENXIO` where there is none, or the file has ended.
    pub async fn seek(&self, ino: Ino, offset: u64, to: SeekTo) -> FsResult<u64> {
        self.call(ino, move |local| async move { local.seek(ino, offset, to).await }).await
    }

    /// `EINVAL` for no bytes, `EFBIG`.
    pub async fn fallocate(&self, ino: Ino, how: Fallocation, offset: u64, length: u64) -> FsResult<()> {
        self.call(ino, move |local| async move { local.fallocate(ino, how, offset, length).await }).await
    }

    /// Copies bytes without moving them; tells how many: fewer than asked for at the source's end, and where a call would
    /// take long. `EINVAL` for ranges of one file that overlap, `EFBIG`.
    pub async fn copy_range(&self, from: (Ino, u64), to: (Ino, u64), length: u64) -> FsResult<u64> {
        self.call(to.0, move |local| async move { local.copy_range(from, to, length).await }).await
    }

    /// Everything of this file survives power loss.
    pub async fn fsync(&self, ino: Ino) -> FsResult<()> {
        self.call(ino, move |local: Rc<LocalVolume>| async move {
            let (sender, receiver) = oneshot::channel();
            local.fsync(ino, answer(sender)).await;
            receiver.await.unwrap_or(Err(Errno::EIO))
        })
        .await
    }
}

fn answer<T: Send>(sender: oneshot::Sender<FsResult<T>>) -> impl FnOnce(FsResult<T>) + Send {
    move |result| {
        // The receiver waits for it, unless the shard has stopped.
        let _ = sender.send(result);
    }
}
