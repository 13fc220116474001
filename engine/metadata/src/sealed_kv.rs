//! The metadata store of an encrypted volume: what files hold is sealed on its way in and opened on its way out.
//!
//! Sealed are the values of inline data, and where the volume says so symlink targets and extended attributes; each is bound
//! to its key, and so to its inode. Nothing above knows of it. Names, attributes and ACLs are stored as they are.
//!
//! Without the key, content reads as so many zeros and can't be written: enough for commands that count and clean up.

use crate::keys::Key;
use crate::records::encode_content;
use shoal_encryption::{NonceBase, SEAL_BYTES, SealingKey, VolumeSealer};
use shoal_kv::{
    Attempt, Direction, Durability, Job, KeyRange, Kv, KvError, KvResult, Pair, Reader, Snapshot, Transaction, Verdict,
    Watch,
};
use shoal_types::AlsoEncrypted;
use std::sync::Arc;

pub struct SealedKv {
    inner: Arc<dyn Kv>,
    also: AlsoEncrypted,
    key: Option<Arc<SealingKey>>,
}

impl SealedKv {
    pub fn new(inner: Arc<dyn Kv>, also: AlsoEncrypted, sealer: &VolumeSealer) -> Self {
        SealedKv { inner, also, key: Some(Arc::new(sealer.values())) }
    }

    pub fn without_key(inner: Arc<dyn Kv>, also: AlsoEncrypted) -> Self {
        SealedKv { inner, also, key: None }
    }
}

impl Kv for SealedKv {
    fn read(&self, body: &mut dyn FnMut(&mut dyn Reader) -> KvResult<()>) -> KvResult<()> {
        self.inner.read(&mut |reader| body(&mut Sealed::new(reader, self.also, self.key.as_deref())))
    }

    /// As it is stored: what is sealed stays sealed.
    fn snapshot(&self) -> KvResult<Box<dyn Snapshot>> {
        self.inner.snapshot()
    }

    fn reads_are_local(&self) -> bool {
        self.inner.reads_are_local()
    }

    fn submit(&self, job: Box<dyn Job>, durability: Durability) {
        self.inner.submit(Box::new(SealedJob { inner: job, also: self.also, key: self.key.clone() }), durability);
    }

    fn foreign_epoch(&self) -> Option<u64> {
        self.inner.foreign_epoch()
    }

    fn results_may_be_unknown(&self) -> bool {
        self.inner.results_may_be_unknown()
    }

    fn watch(&self, key: &[u8]) -> KvResult<Box<dyn Watch>> {
        self.inner.watch(key)
    }

    fn watch_stamped(&self) -> KvResult<Box<dyn Watch>> {
        self.inner.watch_stamped()
    }

    fn close(&self) -> KvResult<()> {
        self.inner.close()
    }
}

struct SealedJob {
    inner: Box<dyn Job>,
    also: AlsoEncrypted,
    key: Option<Arc<SealingKey>>,
}

impl Job for SealedJob {
    fn run(&mut self, transaction: &mut dyn Transaction, attempt: Attempt) -> KvResult<Verdict> {
        let mut sealed = Sealed::new(transaction, self.also, self.key.as_deref());
        let verdict = self.inner.run(&mut sealed, attempt)?;
        match sealed.key_missing {
            false => Ok(verdict),
            true => Err(KvError::Permission("content of an encrypted volume cannot be written without its key".into())),
        }
    }

    fn done(self: Box<Self>, outcome: KvResult<Verdict>) {
        self.inner.done(outcome);
    }
}

/// The namespace of the two access control lists, and of nothing else that is stored.
const ACLS: &[u8] = b"system.";

struct Sealed<'a, T: ?Sized> {
    inner: &'a mut T,
    also: AlsoEncrypted,
    key: Option<&'a SealingKey>,
    /// Something was to be sealed.
    key_missing: bool,
}

impl<'a, T: ?Sized> Sealed<'a, T> {
    fn new(inner: &'a mut T, also: AlsoEncrypted, key: Option<&'a SealingKey>) -> Self {
        Sealed { inner, also, key, key_missing: false }
    }

    fn is_sealed(&self, key: &[u8]) -> bool {
        match Key::parse(key) {
            Some(Key::Inline(_)) => true,
            Some(Key::Target(_)) => self.also.symlinks,
            Some(Key::Xattr(_, name)) => self.also.xattrs && !name.starts_with(ACLS),
            _ => false,
        }
    }

    fn open(&self, key: &[u8], value: Vec<u8>) -> KvResult<Vec<u8>> {
        if !self.is_sealed(key) {
            return Ok(value);
        }
        let Some(sealing) = self.key else {
            return Ok(encode_content(&vec![0; value.len().saturating_sub(SEAL_BYTES + encode_content(&[]).len())]));
        };
        let mut sealed = value;
        match sealing.open(key, &mut sealed) {
            Some(plain) => Ok(plain.to_vec()),
            None => Err(KvError::Damaged(format!("{:?} is not what the volume's key has sealed", Key::parse(key)))),
        }
    }

    fn open_pairs(&self, pairs: Vec<Pair>) -> KvResult<Vec<Pair>> {
        let open = |(key, value): Pair| {
            let value = self.open(&key, value)?;
            Ok((key, value))
        };
        pairs.into_iter().map(open).collect()
    }

    fn open_found(&self, key: &[u8], found: Option<Vec<u8>>) -> KvResult<Option<Vec<u8>>> {
        found.map(|value| self.open(key, value)).transpose()
    }
}

impl<T: Reader + ?Sized> Reader for Sealed<'_, T> {
    fn get(&mut self, key: &[u8]) -> KvResult<Option<Vec<u8>>> {
        let found = self.inner.get(key)?;
        self.open_found(key, found)
    }

    fn get_many(&mut self, keys: &[&[u8]]) -> KvResult<Vec<Option<Vec<u8>>>> {
        let found = self.inner.get_many(keys)?;
        keys.iter().zip(found).map(|(key, found)| self.open_found(key, found)).collect()
    }

    fn scan(&mut self, range: &KeyRange, limit: usize, direction: Direction) -> KvResult<Vec<Pair>> {
        let pairs = self.inner.scan(range, limit, direction)?;
        self.open_pairs(pairs)
    }

    fn scan_stamped(&mut self, range: &KeyRange, limit: usize, direction: Direction) -> KvResult<Vec<Pair>> {
        let pairs = self.inner.scan_stamped(range, limit, direction)?;
        self.open_pairs(pairs)
    }
}

impl<T: Transaction + ?Sized> Transaction for Sealed<'_, T> {
    fn get_unchecked(&mut self, key: &[u8]) -> KvResult<Option<Vec<u8>>> {
        let found = self.inner.get_unchecked(key)?;
        self.open_found(key, found)
    }

    fn scan_unchecked(&mut self, range: &KeyRange, limit: usize, direction: Direction) -> KvResult<Vec<Pair>> {
        let pairs = self.inner.scan_unchecked(range, limit, direction)?;
        self.open_pairs(pairs)
    }

    fn put(&mut self, key: &[u8], value: &[u8]) {
        if !self.is_sealed(key) {
            return self.inner.put(key, value);
        }
        let Some(sealing) = self.key else {
            self.key_missing = true;
            return;
        };
        let mut sealed = Vec::new();
        sealing.seal(NonceBase::random(), 0, key, &[value], &mut sealed);
        self.inner.put(key, &sealed);
    }

    fn delete(&mut self, key: &[u8]) {
        self.inner.delete(key);
    }

    fn delete_range(&mut self, range: &KeyRange) -> KvResult<()> {
        self.inner.delete_range(range)
    }

    fn add(&mut self, key: &[u8], amount: i64) {
        assert!(!self.is_sealed(key), "what is sealed is no number");
        self.inner.add(key, amount);
    }

    fn max(&mut self, key: &[u8], value: u64) {
        assert!(!self.is_sealed(key), "what is sealed is no number");
        self.inner.max(key, value);
    }

    fn append(&mut self, key: &[u8], bytes: &[u8]) {
        assert!(!self.is_sealed(key), "it is written whole, as it is sealed");
        self.inner.append(key, bytes);
    }

    fn put_versionstamped(&mut self, prefix: &[u8], value: &[u8]) {
        self.inner.put_versionstamped(prefix, value);
    }
}
