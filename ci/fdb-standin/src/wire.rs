//! What client and server say to each other: frames of a length (u32), a number by which the answer is found (u64), and a
//! body. Numbers are little-endian, bytes stand behind their length (u32).

use crate::mutation::Mutation;
use std::io::{self, Read};

pub type Bytes = Vec<u8>;
pub type Range = (Bytes, Bytes);

#[derive(Clone, Debug)]
pub enum Request {
    /// Also what shows that the other side lives.
    ReadVersion,
    Get {
        version: i64,
        key: Bytes,
    },
    GetRange {
        version: i64,
        range: Range,
        limit: u32,
        reverse: bool,
    },
    Commit(Commit),
    /// Answered when the value is not what it was at this version.
    Watch {
        version: i64,
        key: Bytes,
    },
}

#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// Nothing was read where it's missing.
    pub version: Option<i64>,
    pub reads: Vec<Range>,
    pub writes: Vec<Range>,
    pub mutations: Vec<Mutation>,
}

#[derive(Clone, Debug)]
pub enum Answer {
    Version { version: i64, metadata: Option<Bytes> },
    Value(Option<Bytes>),
    Pairs { pairs: Vec<Range>, more: bool },
    Done,
}

pub fn request_frame(number: u64, request: &Request) -> Bytes {
    let mut out = Out(number.to_le_bytes().to_vec());
    match request {
        Request::ReadVersion => out.byte(0),
        Request::Get { version, key } => {
            out.byte(1);
            out.number(*version as u64);
            out.bytes(key);
        }
        Request::GetRange { version, range, limit, reverse } => {
            out.byte(2);
            out.number(*version as u64);
            out.range(range);
            out.number(u64::from(*limit));
            out.byte(u8::from(*reverse));
        }
        Request::Commit(commit) => {
            out.byte(3);
            out.number(commit.version.unwrap_or(-1) as u64);
            out.ranges(&commit.reads);
            out.ranges(&commit.writes);
            out.number(commit.mutations.len() as u64);
            for mutation in &commit.mutations {
                out.byte(mutation.kind);
                out.bytes(&mutation.key);
                out.bytes(&mutation.operand);
            }
        }
        Request::Watch { version, key } => {
            out.byte(4);
            out.number(*version as u64);
            out.bytes(key);
        }
    }
    out.frame()
}

pub fn read_request(body: &[u8]) -> Option<(u64, Request)> {
    let mut rest = In(body);
    let number = rest.number()?;
    let request = match rest.byte()? {
        0 => Request::ReadVersion,
        1 => Request::Get { version: rest.number()? as i64, key: rest.bytes()? },
        2 => Request::GetRange {
            version: rest.number()? as i64,
            range: rest.range()?,
            limit: u32::try_from(rest.number()?).ok()?,
            reverse: rest.byte()? != 0,
        },
        3 => {
            let version = rest.number()? as i64;
            let (reads, writes) = (rest.ranges()?, rest.ranges()?);
            let mut mutations = Vec::new();
            for _ in 0..rest.number()? {
                mutations.push(Mutation { kind: rest.byte()?, key: rest.bytes()?, operand: rest.bytes()? });
            }
            Request::Commit(Commit { version: (version >= 0).then_some(version), reads, writes, mutations })
        }
        4 => Request::Watch { version: rest.number()? as i64, key: rest.bytes()? },
        _ => return None,
    };
    Some((number, request))
}

pub fn answer_frame(number: u64, answer: &Result<Answer, i32>) -> Bytes {
    let mut out = Out(number.to_le_bytes().to_vec());
    match answer {
        Err(code) => {
            out.byte(0);
            out.number(*code as u64);
        }
        Ok(Answer::Version { version, metadata }) => {
            out.byte(1);
            out.number(*version as u64);
            out.option(metadata.as_deref());
        }
        Ok(Answer::Value(value)) => {
            out.byte(2);
            out.option(value.as_deref());
        }
        Ok(Answer::Pairs { pairs, more }) => {
            out.byte(3);
            out.ranges(pairs);
            out.byte(u8::from(*more));
        }
        Ok(Answer::Done) => out.byte(4),
    }
    out.frame()
}

pub fn read_answer(body: &[u8]) -> Option<(u64, Result<Answer, i32>)> {
    let mut rest = In(body);
    let number = rest.number()?;
    let answer = match rest.byte()? {
        0 => Err(rest.number()? as i32),
        1 => Ok(Answer::Version { version: rest.number()? as i64, metadata: rest.option()? }),
        2 => Ok(Answer::Value(rest.option()?)),
        3 => Ok(Answer::Pairs { pairs: rest.ranges()?, more: rest.byte()? != 0 }),
        4 => Ok(Answer::Done),
        _ => return None,
    };
    Some((number, answer))
}

/// The body of the next frame; `None` at the end, also in the middle of a frame.
pub fn read_frame(from: &mut impl Read) -> io::Result<Option<Bytes>> {
    let mut length = [0; 4];
    let mut body = Vec::new();
    let read = from.read_exact(&mut length).and_then(|()| {
        body.resize(u32::from_le_bytes(length) as usize, 0);
        from.read_exact(&mut body)
    });
    match read {
        Ok(()) => Ok(Some(body)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

pub struct Out(pub Bytes);

impl Out {
    pub fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        self.0.extend_from_slice(bytes);
    }

    pub fn option(&mut self, bytes: Option<&[u8]>) {
        self.byte(u8::from(bytes.is_some()));
        self.bytes(bytes.unwrap_or_default());
    }

    fn range(&mut self, (start, end): &Range) {
        self.bytes(start);
        self.bytes(end);
    }

    fn ranges(&mut self, ranges: &[Range]) {
        self.number(ranges.len() as u64);
        ranges.iter().for_each(|range| self.range(range));
    }

    pub fn frame(self) -> Bytes {
        [&(self.0.len() as u32).to_le_bytes(), self.0.as_slice()].concat()
    }
}

pub struct In<'a>(pub &'a [u8]);

impl In<'_> {
    pub fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*number))
    }

    pub fn bytes(&mut self) -> Option<Bytes> {
        let (length, rest) = self.0.split_first_chunk()?;
        let (bytes, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        self.0 = rest;
        Some(bytes.to_vec())
    }

    pub fn option(&mut self) -> Option<Option<Bytes>> {
        let there = self.byte()? != 0;
        let bytes = self.bytes()?;
        Some(there.then_some(bytes))
    }

    fn range(&mut self) -> Option<Range> {
        Some((self.bytes()?, self.bytes()?))
    }

    fn ranges(&mut self) -> Option<Vec<Range>> {
        (0..self.number()?).map(|_| self.range()).collect()
    }
}
