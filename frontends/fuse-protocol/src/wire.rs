//! Reading and writing fixed layouts field by field, with every length checked.

/// The message ended before its operation's arguments did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Short;

/// What is left of a message.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], Short> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Short> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(Short)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub fn u16(&mut self) -> Result<u16, Short> {
        self.array().map(u16::from_ne_bytes)
    }

    pub fn u32(&mut self) -> Result<u32, Short> {
        self.array().map(u32::from_ne_bytes)
    }

    pub fn u64(&mut self) -> Result<u64, Short> {
        self.array().map(u64::from_ne_bytes)
    }

    pub fn skip(&mut self, count: usize) -> Result<(), Short> {
        self.bytes(count).map(|_| ())
    }

    /// The bytes before the next NUL, which must lie inside the message.
    pub fn text(&mut self) -> Result<&'a [u8], Short> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or(Short)?;
        let text = &self.0[..end];
        self.0 = &self.0[end + 1..];
        Ok(text)
    }
}

/// A layout of exactly `N` bytes; what is not written stays zero.
pub(crate) struct Writer<const N: usize> {
    bytes: [u8; N],
    at: usize,
}

impl<const N: usize> Writer<N> {
    pub fn new() -> Self {
        Writer { bytes: [0; N], at: 0 }
    }

    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
        self
    }

    pub fn u16(self, value: u16) -> Self {
        self.raw(&value.to_ne_bytes())
    }

    pub fn u32(self, value: u32) -> Self {
        self.raw(&value.to_ne_bytes())
    }

    pub fn u64(self, value: u64) -> Self {
        self.raw(&value.to_ne_bytes())
    }

    pub fn zeros(mut self, count: usize) -> Self {
        self.at += count;
        self
    }

    /// Asserts that the fields filled the layout: a forgotten field is found by the first test that builds it.
    pub fn done(self) -> [u8; N] {
        assert_eq!(self.at, N, "every field of the layout is written");
        self.bytes
    }
}
