//! A dump that only the owner of the volume's key reads: the bytes of a dump, sealed part by part.
//!
//! ```text
//! header  "shoaldms" | format(4) = 1 | length(4) | what opens it (postcard) | check(4)
//! part    kind(1) | length(4) | nonce(12) | ciphertext | tag(16)
//! ```
//!
//! The header holds the volume's wrapped key as it was then, so that what opened the volume opens the dump, and nothing else is
//! needed. A part seals 256 KiB, the last one what is left. Its kind says whether it is the last one (02) or not (01), and
//! is sealed in with its number: parts that are lost, swapped or cut off don't open. The key is that of one stream, so
//! neither do those of another dump.

use crate::header;
use crate::limits::{HEADER_BYTES_MAX, PART_BYTES};
use serde::{Deserialize, Serialize};
use shoal_encryption::{
    NONCE_BYTES, NonceBase, SEAL_BYTES, SealingKey, StreamSalt, VolumeKey, VolumeSealer, WrappedKey, random_salt,
};
use shoal_kv::KvResult;
use shoal_types::Cipher;
use std::io::{self, Chain, Cursor, Read, Write};

/// What a reader needs before it can open anything.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SealedHeader {
    /// The volume's, to which the wrapping is bound.
    pub uuid: String,
    cipher: Cipher,
    salt: StreamSalt,
    pub key: WrappedKey,
}

/// Seals what is written to it. Without [`SealWriter::end`] it is no dump.
pub struct SealWriter<W> {
    out: W,
    key: SealingKey,
    base: NonceBase,
    number: u32,
    plain: Vec<u8>,
}

/// Opens what [`SealWriter`] has sealed. Bytes that don't open are an error of the kind `InvalidData`.
pub struct SealReader<R> {
    source: R,
    key: SealingKey,
    number: u32,
    ended: bool,
    part: Vec<u8>,
    /// The plain bytes in `part` that have not been read.
    unread: std::ops::Range<usize>,
}

const MAGIC: &[u8; 8] = b"shoaldms";
const FORMAT: u32 = 1;
const PART: u8 = 1;
const LAST: u8 = 2;

/// A source whose first bytes were looked at.
type Whole<R> = Chain<Cursor<Vec<u8>>, R>;

/// Whether a source begins like a sealed dump, and the source as it was.
pub fn is_sealed<R: Read>(mut source: R) -> io::Result<(bool, Whole<R>)> {
    let mut head = Vec::new();
    source.by_ref().take(MAGIC.len() as u64).read_to_end(&mut head)?;
    Ok((head == MAGIC, Cursor::new(head).chain(source)))
}

impl SealedHeader {
    /// For a new dump. `key` is the wrapped form of the one that `sealer` derives from.
    pub fn new(uuid: &str, sealer: &VolumeSealer, key: WrappedKey) -> Self {
        SealedHeader { uuid: uuid.into(), cipher: sealer.cipher(), salt: random_salt(), key }
    }

    pub fn read(source: &mut impl Read) -> KvResult<Self> {
        let (record, _) = header::read_framed(source, MAGIC, FORMAT)?;
        header::parse(&record)
    }

    pub fn sealer(&self, key: &VolumeKey) -> VolumeSealer {
        VolumeSealer::new(self.cipher, key, &self.uuid)
    }

    /// Writes the header, and gives what seals the rest.
    pub fn seal<W: Write>(&self, sealer: &VolumeSealer, mut out: W) -> io::Result<SealWriter<W>> {
        let record = postcard::to_stdvec(self).expect("a record in memory can be encoded");
        if record.len() > HEADER_BYTES_MAX {
            return Err(io::Error::other("the volume's wrapped key is too long for the header of a dump"));
        }
        out.write_all(&header::framed(MAGIC, FORMAT, &record))?;
        let (key, base) = (sealer.stream(&self.salt), NonceBase::random());
        Ok(SealWriter { out, key, base, number: 0, plain: Vec::new() })
    }

    /// Opens what follows the header.
    pub fn open<R: Read>(&self, sealer: &VolumeSealer, source: R) -> SealReader<R> {
        let key = sealer.stream(&self.salt);
        SealReader { source, key, number: 0, ended: false, part: Vec::new(), unread: 0..0 }
    }
}

impl<W: Write> SealWriter<W> {
    /// Writes the last part and flushes.
    pub fn end(mut self) -> io::Result<W> {
        self.part(LAST)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn part(&mut self, kind: u8) -> io::Result<()> {
        let mut sealed = Vec::new();
        self.key.seal(self.base, self.number, &bound(kind, self.number), &[&self.plain], &mut sealed);
        self.number =
            self.number.checked_add(1).ok_or_else(|| io::Error::other("the dump is too long to be sealed"))?;
        self.plain.clear();
        self.out.write_all(&[kind])?;
        self.out.write_all(&(sealed.len() as u32).to_le_bytes())?;
        self.out.write_all(&sealed)
    }
}

impl<W: Write> Write for SealWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.plain.len() == PART_BYTES {
            self.part(PART)?;
        }
        let taken = &bytes[..bytes.len().min(PART_BYTES - self.plain.len())];
        self.plain.extend_from_slice(taken);
        Ok(taken.len())
    }

    /// What does not fill a part stays here.
    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl<R: Read> SealReader<R> {
    fn next(&mut self) -> io::Result<()> {
        let mut head = [0; 5];
        self.source.read_exact(&mut head)?;
        let [kind, length @ ..] = head;
        let length = u32::from_le_bytes(length) as usize;
        if ![PART, LAST].contains(&kind) || length > PART_BYTES + SEAL_BYTES {
            return Err(invalid("a sealed part has no known form"));
        }
        self.part.resize(length, 0);
        self.source.read_exact(&mut self.part)?;
        let plain = self.key.open(&bound(kind, self.number), &mut self.part);
        let plain = plain.ok_or_else(|| invalid("a sealed part was changed, or is not where it was"))?.len();
        self.unread = NONCE_BYTES..NONCE_BYTES + plain;
        self.number = self.number.wrapping_add(1);
        self.ended = kind == LAST;
        if self.ended && self.source.read(&mut [0])? != 0 {
            return Err(invalid("something follows its end"));
        }
        Ok(())
    }
}

impl<R: Read> Read for SealReader<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        while self.unread.is_empty() {
            if self.ended {
                return Ok(0);
            }
            self.next()?;
        }
        let count = bytes.len().min(self.unread.len());
        bytes[..count].copy_from_slice(&self.part[self.unread.start..self.unread.start + count]);
        self.unread.start += count;
        Ok(count)
    }
}

fn bound(kind: u8, number: u32) -> [u8; 5] {
    let [a, b, c, d] = number.to_le_bytes();
    [kind, a, b, c, d]
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
