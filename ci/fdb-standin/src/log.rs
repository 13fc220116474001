//! The commits of a cluster in a file, so that a server that is killed and started again has what it had. It does not wait
//! for the disk: it's the death of the process that it's for.

use crate::wire::{Bytes, In, Out, read_frame};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Seek, Write};
use std::path::Path;

pub struct Log {
    file: Option<File>,
    /// While it's read.
    reader: Option<BufReader<File>>,
    whole_bytes: u64,
}

/// A commit's version, and what each key is from then on.
type Logged = (i64, Vec<(Bytes, Option<Bytes>)>);

impl Log {
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().create(true).truncate(false).read(true).write(true).open(path)?;
        let reader = Some(BufReader::new(file.try_clone()?));
        Ok(Log { file: Some(file), reader, whole_bytes: 0 })
    }

    /// The next commit; what was written of a last one in vain is cut off.
    pub fn read(&mut self) -> Option<Logged> {
        let mut reader = self.reader.take()?;
        if let Some(body) = read_frame(&mut reader).expect("the log can be read") {
            self.whole_bytes += 4 + body.len() as u64;
            self.reader = Some(reader);
            return Some(commit_of(&body).expect("the log holds what was written"));
        }
        let file = self.file.as_mut().expect("a log that is read has a file");
        file.set_len(self.whole_bytes).expect("the log can be cut");
        file.seek(io::SeekFrom::End(0)).expect("the log can be written behind its end");
        None
    }

    pub fn write(&mut self, version: i64, changes: &BTreeMap<Bytes, Option<Bytes>>) {
        let Some(file) = &mut self.file else { return };
        let mut out = Out(Vec::new());
        out.number(version as u64);
        out.number(changes.len() as u64);
        for (key, value) in changes {
            out.bytes(key);
            out.option(value.as_deref());
        }
        file.write_all(&out.frame()).expect("the log can be written");
    }

    #[cfg(test)]
    pub fn none() -> Self {
        Log { file: None, reader: None, whole_bytes: 0 }
    }
}

fn commit_of(body: &[u8]) -> Option<Logged> {
    let mut rest = In(body);
    let version = rest.number()? as i64;
    let changes = (0..rest.number()?).map(|_| Some((rest.bytes()?, rest.option()?)));
    Some((version, changes.collect::<Option<_>>()?))
}
