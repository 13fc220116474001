//! Listing directories.

use crate::shard::Shard;
use shoal_metadata::{DirectoryEntry, DirectoryPage};
use shoal_types::{Errno, FsResult, Ino};
use std::rc::Rc;

impl Shard {
    /// Entries behind `cookie`; `.` and `..` are the front end's.
    pub async fn read_directory(
        self: &Rc<Self>,
        ino: Ino,
        cookie: u64,
        limit: usize,
        attributes: bool,
    ) -> FsResult<DirectoryPage> {
        let before = self.before();
        let mut page =
            self.read_metadata(move |metadata| metadata.read_directory(ino, cookie, limit, attributes)).await?;
        for entry in &mut page.entries {
            let Some(attributes) = entry.attributes.take() else { continue };
            let completed = match self.complete(before, attributes) {
                Ok(attributes) => Ok(attributes),
                Err(ino) => self.get_attributes(ino).await,
            };
            fill_in(entry, completed)?;
        }
        Ok(page)
    }

    pub async fn get_parent(self: &Rc<Self>, ino: Ino) -> FsResult<Ino> {
        self.read_metadata(move |metadata| metadata.get_parent(ino)).await
    }
}

/// An entry whose inode has vanished since the page was read is listed without attributes.
fn fill_in(entry: &mut DirectoryEntry, attributes: FsResult<shoal_types::Attributes>) -> FsResult<()> {
    entry.attributes = match attributes {
        Ok(attributes) => Some(attributes),
        Err(Errno::ENOENT) => None,
        Err(error) => return Err(error),
    };
    Ok(())
}
