//! `shoal info`: what a file of a mounted volume is made of: its inode, and where its bytes are.

use crate::bucket;
use crate::clock;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::mounted;
use crate::output;
use crate::size::ByteCount;
use crate::storage::{Objects, Storage};
use crate::volume::{self, Opened};
use serde::Serialize;
use shoal_types::{Attributes, CHUNK_BYTES, FileKind, Ino, ObjectKind, Slice, Timestamp};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Show what a file in a mounted volume is made of
///
/// It shows what is stored: bytes that a program has written and that are still in the mount's buffer are not in it.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  shoal info /mnt/photos/2026/sea.jpg
  shoal info /mnt/photos/2026/sea.jpg --json | jq -r '.chunks[].slices[].key'

--json prints one object; names stay, new ones may come:
  path, inode, kind, mode (octal), uid, gid, links, length, allocated,
  atime, mtime, ctime, btime (seconds since 1970)
  inline    bytes that the metadata holds
  target    of a symbolic link
  entries   of a directory
  chunks    chunk, slices; a slice has offset (in the file), length, and unless
            it is a hole object, object_offset, object_length, key, stored
            (whether the store has it); a later slice covers earlier ones")]
pub struct Arguments {
    pub path: PathBuf,
    /// For programs
    #[arg(long)]
    pub json: bool,
}

#[derive(Serialize)]
struct Info {
    path: String,
    inode: u64,
    kind: &'static str,
    mode: String,
    uid: u32,
    gid: u32,
    links: u32,
    length: u64,
    allocated: u64,
    atime: i64,
    mtime: i64,
    ctime: i64,
    btime: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    inline: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entries: Option<u64>,
    chunks: Vec<Chunk>,
}

#[derive(Serialize)]
struct Chunk {
    chunk: u64,
    slices: Vec<Part>,
}

#[derive(Serialize)]
struct Part {
    offset: u64,
    length: u32,
    #[serde(flatten)]
    place: Option<Place>,
}

/// Where a slice that is no hole is kept.
#[derive(Serialize)]
struct Place {
    object: u64,
    object_offset: u32,
    object_length: u32,
    key: String,
    stored: bool,
}

pub fn run(arguments: Arguments) -> Outcome<Exit> {
    let (path, state) = mounted::within(&arguments.path)?;
    let opened = volume::open(&state.meta_url)?;
    let ino = mounted::inode_of(&path, &state, &opened.metadata)?;
    let objects = Storage::of(&opened)?.open()?;
    let (info, attributes) = gather(&opened, &objects, ino)?;
    match arguments.json {
        true => output::print_json(&info)?,
        false => output::print(show(&info, &attributes))?,
    }
    Ok(Exit::Success)
}

fn gather(opened: &Opened, objects: &Objects, ino: Ino) -> Outcome<(Info, Attributes)> {
    let metadata = &opened.metadata;
    let failed = |error| Failure::of_metadata(format_args!("inode {ino}"), &error);
    let attributes = metadata.get_attributes(ino).map_err(failed)?;
    let mut info = Info::new(bucket::path_of(metadata, ino)?, &attributes);
    match attributes.kind {
        FileKind::Regular => {
            info.inline = metadata.get_content(ino).map_err(failed)?.inline.map(|bytes| bytes.len());
            info.chunks = chunks(opened, objects, ino)?;
        }
        FileKind::Symlink => {
            let target = metadata.read_link(ino).map_err(failed)?;
            info.target = Some(String::from_utf8_lossy(&target).into_owned());
        }
        FileKind::Directory => info.entries = Some(attributes.length),
        FileKind::Fifo | FileKind::Socket | FileKind::CharDevice | FileKind::BlockDevice => {}
    }
    Ok((info, attributes))
}

fn chunks(opened: &Opened, objects: &Objects, ino: Ino) -> Outcome<Vec<Chunk>> {
    let mut known = BTreeMap::new();
    let mut chunks = Vec::new();
    let mut first = 0;
    loop {
        let page = opened.metadata.get_chunks(ino, first, CHUNKS_AT_ONCE);
        let page = page.map_err(|error| Failure::of_metadata(format_args!("inode {ino}"), &error))?;
        for (chunk, slices) in &page {
            let parts = slices.iter().map(|slice| part(objects, &mut known, *chunk, slice));
            chunks.push(Chunk { chunk: *chunk, slices: parts.collect::<Outcome<_>>()? });
        }
        match page.last().and_then(|(chunk, _)| chunk.checked_add(1)) {
            Some(next) => first = next,
            None => return Ok(chunks),
        }
    }
}

fn part(
    objects: &Objects,
    known: &mut BTreeMap<shoal_types::ObjectId, bool>,
    chunk: u64,
    slice: &Slice,
) -> Outcome<Part> {
    let offset = chunk * CHUNK_BYTES + u64::from(slice.position);
    if slice.kind == ObjectKind::Hole {
        return Ok(Part { offset, length: slice.length, place: None });
    }
    let stored = match known.get(&slice.object) {
        Some(stored) => *stored,
        None => objects.exists(slice.object)?,
    };
    known.insert(slice.object, stored);
    let place = Place {
        object: slice.object.0,
        object_offset: slice.object_offset,
        object_length: slice.object_length,
        key: objects.key(slice.object),
        stored,
    };
    Ok(Part { offset, length: slice.length, place: Some(place) })
}

impl Info {
    fn new(path: String, attributes: &Attributes) -> Self {
        Info {
            path,
            inode: attributes.ino.0,
            kind: output::kind(attributes.kind),
            mode: format!("{:04o}", attributes.mode),
            uid: attributes.uid,
            gid: attributes.gid,
            links: attributes.nlink,
            length: attributes.length,
            allocated: attributes.allocated,
            atime: attributes.atime.seconds,
            mtime: attributes.mtime.seconds,
            ctime: attributes.ctime.seconds,
            btime: attributes.btime.seconds,
            inline: None,
            target: None,
            entries: None,
            chunks: Vec::new(),
        }
    }
}

fn show(info: &Info, attributes: &Attributes) -> String {
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let time = |name, time: Timestamp| row(name, clock::date(time));
    let mut rows = vec![
        row("path", info.path.clone()),
        row("inode", info.inode.to_string()),
        row("kind", info.kind.to_owned()),
        row("mode", info.mode.clone()),
        row("owner", format!("{}:{}", info.uid, info.gid)),
        row("links", info.links.to_string()),
    ];
    match (&info.entries, &info.target) {
        (Some(entries), _) => rows.push(row("entries", entries.to_string())),
        (_, Some(target)) => rows.push(row("target", target.clone())),
        _ => {
            rows.push(row("length", bytes(info.length)));
            rows.push(row("allocated", bytes(info.allocated)));
        }
    }
    rows.extend([
        time("accessed", attributes.atime),
        time("modified", attributes.mtime),
        time("changed", attributes.ctime),
        time("created", attributes.btime),
    ]);
    if let Some(inline) = info.inline {
        rows.push(row("inline", format!("{} in the metadata", bytes(inline as u64))));
    }
    let mut text = output::columns(&rows);
    if !info.chunks.is_empty() {
        text = format!("{text}\n\n{}", output::columns(&slice_rows(&info.chunks)));
    }
    text
}

/// A size that people can read and compute with.
fn bytes(number: u64) -> String {
    match number {
        0..1024 => ByteCount(number).to_string(),
        _ => format!("{} ({number} bytes)", ByteCount(number)),
    }
}

fn slice_rows(chunks: &[Chunk]) -> Vec<Vec<String>> {
    let head = ["CHUNK", "OFFSET", "LENGTH", "OBJECT", "FROM", "OF", "STORED", "KEY"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for Chunk { chunk, slices } in chunks {
        rows.extend(slices.iter().map(|Part { offset, length, place }| {
            let mut row = vec![chunk.to_string(), offset.to_string(), length.to_string()];
            match place {
                None => row.push("hole".into()),
                Some(Place { object, object_offset, object_length, key, stored }) => row.extend([
                    object.to_string(),
                    object_offset.to_string(),
                    object_length.to_string(),
                    if *stored { "yes".into() } else { "MISSING".into() },
                    key.clone(),
                ]),
            }
            row
        }));
    }
    rows
}

const CHUNKS_AT_ONCE: usize = 64;
