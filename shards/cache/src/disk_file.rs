//! The two files of a cached inode: data (sparse, O_DIRECT where the file system takes it) and index (buffered).
//!
//! `<slot folder>/<first byte of Ino::mix(), two hex digits>/<inode, hex>.data` and `.index`.

use crate::fault::{Step, check};
use crate::index_entry::{ENTRY_BYTES, Entry, Found, Header};
use bytes::Bytes;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use shoal_runtime::{AlignedBuffer, RingFile, read_at, write_bytes_at};
use shoal_types::Ino;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};

pub(crate) struct DiskFile {
    ino: Ino,
    pub data: RingFile,
    index: File,
    /// As it was when the files were opened.
    pub header: Header,
    /// The cache folder lies on tmpfs. The ring has no way to read that but a kernel thread for each request; a copy
    /// made here and now costs less than the two wake-ups.
    in_memory: bool,
    /// What the last read that failed ended with; 0 for none that was not told.
    read_error: AtomicI32,
}

impl DiskFile {
    /// What an earlier use left; `None` if that is nothing, or nothing we can read. What is encrypted and should not be, or
    /// the other way round, is made empty.
    pub fn open(slot: &Path, ino: Ino, encrypted: bool) -> io::Result<Option<Self>> {
        check(Step::Open)?;
        let index = match open(&path(slot, ino, "index"), OFlags::empty()) {
            Ok(index) => index,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut found = [0; ENTRY_BYTES];
        if read_up_to(&index, &mut found, 0)? < ENTRY_BYTES {
            return Ok(None);
        }
        let Some(header) = Header::decode(&found, ino) else { return Ok(None) };
        if header.encrypted != encrypted {
            return match header.pinned {
                true => Self::create(slot, ino, Header { encrypted, ..header }).map(Some),
                false => Self::unlink(slot, ino).map(|()| None),
            };
        }
        match open_data(&path(slot, ino, "data"), OFlags::empty()) {
            Ok(data) => Self::new(ino, data, index, header).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// New, empty files; what stood there is gone.
    pub fn create(slot: &Path, ino: Ino, header: Header) -> io::Result<Self> {
        check(Step::Create)?;
        let index_path = path(slot, ino, "index");
        let folder = index_path.parent().expect("index files lie in a folder");
        match std::fs::create_dir(folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        // Removed and made anew, never truncated: truncating waits for direct writes in flight (see the janitor).
        Self::unlink(slot, ino)?;
        let data = open_data(&path(slot, ino, "data"), OFlags::CREATE)?;
        let index = open(&index_path, OFlags::CREATE | OFlags::EXCL)?;
        index.write_all_at(&header.encode(ino), 0)?;
        Self::new(ino, data, index, header)
    }

    fn new(ino: Ino, data: RingFile, index: File, header: Header) -> io::Result<Self> {
        let in_memory = is_in_memory(&data)?;
        Ok(DiskFile { ino, data, index, header, in_memory, read_error: AtomicI32::new(0) })
    }

    pub fn write_header(&self, header: Header) -> io::Result<()> {
        check(Step::WriteIndex)?;
        self.index.write_all_at(&header.encode(self.ino), 0)
    }

    /// Reads data bytes from `offset` into the first `count` of the buffer's capacity; the count read may be short.
    pub async fn read_data(
        &self,
        buffer: AlignedBuffer,
        count: usize,
        offset: u64,
    ) -> (io::Result<usize>, AlignedBuffer) {
        let (result, buffer) = match check(Step::ReadData) {
            Err(error) => (Err(error), buffer),
            Ok(()) if self.in_memory => {
                let mut buffer = buffer;
                buffer.set_len(count);
                let read = rustix::io::pread(&*self.data, &mut buffer[..], offset);
                (read.map_err(io::Error::from), buffer)
            }
            Ok(()) => read_at(&self.data, buffer, 0..count, offset).await,
        };
        if let Some(error) = result.as_ref().err().and_then(Errno::from_io_error) {
            self.read_error.store(error.raw_os_error(), SeqCst);
        }
        (result, buffer)
    }

    /// The last error that a reader has met, on whichever shard; told once.
    pub fn take_read_error(&self) -> Option<io::Error> {
        match self.read_error.load(SeqCst) {
            0 => None,
            _ => Some(io::Error::from_raw_os_error(self.read_error.swap(0, SeqCst))),
        }
    }

    /// Writes data bytes at `offset`, in one kernel request: the count may be short.
    pub async fn write_data(&self, bytes: Bytes, offset: u64) -> io::Result<usize> {
        check(Step::WriteData)?;
        write_bytes_at(&self.data, bytes, offset).await
    }

    pub fn read_entry(&self, block: u64) -> io::Result<Option<Entry>> {
        check(Step::ReadIndex)?;
        let mut bytes = [0; ENTRY_BYTES];
        read_up_to(&self.index, &mut bytes, entry_at(block))?;
        match Entry::decode(&bytes, self.ino, block) {
            Found::Entry(entry) => Ok(Some(entry)),
            Found::Empty | Found::Torn => Ok(None),
        }
    }

    /// Up to `count` entries from block `first` on, until the end of the index.
    pub fn read_entries(&self, first: u64, count: u64) -> io::Result<Vec<Found>> {
        check(Step::ReadIndex)?;
        let mut bytes = vec![0; count as usize * ENTRY_BYTES];
        let present = read_up_to(&self.index, &mut bytes, entry_at(first))?;
        let (entries, _) = bytes[..present].as_chunks::<ENTRY_BYTES>();
        Ok((first..).zip(entries).map(|(block, bytes)| Entry::decode(bytes, self.ino, block)).collect())
    }

    pub fn write_entry(&self, block: u64, entry: &Entry) -> io::Result<()> {
        check(Step::WriteIndex)?;
        self.index.write_all_at(&entry.encode(self.ino, block), entry_at(block))
    }

    pub fn clear_entry(&self, block: u64) -> io::Result<()> {
        check(Step::WriteIndex)?;
        self.index.write_all_at(&[0; ENTRY_BYTES], entry_at(block))
    }

    /// Bytes that the data file occupies on disk.
    pub fn allocated(slot: &Path, ino: Ino) -> io::Result<u64> {
        Ok(std::fs::metadata(path(slot, ino, "data"))?.blocks() * 512)
    }

    /// Removes both files; it is fine if they do not exist.
    pub fn unlink(slot: &Path, ino: Ino) -> io::Result<()> {
        check(Step::Unlink)?;
        for kind in ["index", "data"] {
            match std::fs::remove_file(path(slot, ino, kind)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// `linux/magic.h`.
const TMPFS_MAGIC: rustix::fs::FsWord = 0x0102_1994;
/// The number of folders that the files are spread over.
pub(crate) const FOLDERS: u32 = 256;

/// Every inode that has a file in one of the folders, each once.
pub(crate) fn list_folder(slot: &Path, folder: u32) -> io::Result<Vec<Ino>> {
    check(Step::List)?;
    let entries = match std::fs::read_dir(slot.join(format!("{folder:02x}"))) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        found.extend(entry?.file_name().to_str().and_then(parse_name));
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn parse_name(name: &str) -> Option<Ino> {
    let (stem, kind) = name.split_once('.')?;
    let ino = Ino(u64::from_str_radix(stem, 16).ok()?);
    (matches!(kind, "data" | "index") && format!("{:x}", ino.0) == stem).then_some(ino)
}

fn path(slot: &Path, ino: Ino, kind: &str) -> PathBuf {
    slot.join(format!("{:02x}/{:x}.{kind}", ino.mix() >> 56, ino.0))
}

fn entry_at(block: u64) -> u64 {
    (1 + block) * ENTRY_BYTES as u64
}

fn open_data(path: &Path, extra: OFlags) -> io::Result<RingFile> {
    let direct = match open(path, extra | OFlags::DIRECT) {
        Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => open(path, extra)?,
        opened => opened?,
    };
    Ok(Arc::new(direct.into()))
}

fn is_in_memory(data: &RingFile) -> io::Result<bool> {
    Ok(rustix::fs::fstatfs(data)?.f_type == TMPFS_MAGIC)
}

fn open(path: &Path, extra: OFlags) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | extra;
    Ok(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?.into())
}

/// Reads until the buffer is full or the file ends.
fn read_up_to(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
