//! Random writes, truncations, compactions, packs and removals against a map of bytes: what files show, and the books.

use crate::support::*;
use proptest::prelude::*;
use shoal_metadata::keys::{Accumulator, Counter, Key};
use shoal_metadata::{
    CopyRange, Fallocate, MetaOp, MetaReply, MovedPart, Pack, PackedFile, Repack, ReplaceSlices, check,
};
use shoal_types::{CHUNK_BYTES, CHUNK_MAX, Errno, FILE_BYTES_MAX, Ino, ObjectId, ObjectKind, Slice};
use std::collections::BTreeMap;

/// Chunks and places in them are few and near each other, so that everything overlaps.
#[derive(Clone, Debug)]
enum Step {
    /// One object; pieces of it in several places.
    Write {
        file: usize,
        pieces: Vec<(u64, u32, u32)>,
    },
    Hole {
        file: usize,
        chunk: u64,
        position: u32,
        length: u32,
    },
    Inline {
        file: usize,
        offset: u32,
        length: u32,
    },
    Truncate {
        file: usize,
        chunk: u64,
        end: u32,
    },
    /// fallocate(2): a hole, and perhaps a longer file.
    Punch {
        file: usize,
        start: (u64, u32),
        end: (u64, u32),
        grow: bool,
    },
    Copy {
        from: usize,
        to: usize,
        source: (u64, u32),
        target: (u64, u32),
        length: u64,
    },
    /// The first so many slices of a chunk into one new object, or into the same objects without what is covered.
    Compact {
        file: usize,
        chunk: u64,
        count: usize,
        copy: bool,
    },
    /// What is inline of all files into one pack.
    Pack,
    /// What the files' first chunks have of packs into a new one, but for some bytes at its beginning.
    Repack {
        left: usize,
    },
    Remove {
        file: usize,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let chunk = || prop_oneof![Just(0u64), Just(1), Just(20), Just(CHUNK_MAX)];
    let place = || (0u32..100, 1u32..60);
    let pieces = proptest::collection::vec((chunk(), 0u32..100, 1u32..60), 1..4);
    let write = (0..FILES, pieces).prop_map(|(file, pieces)| Step::Write { file, pieces });
    let hole = (0..FILES, chunk(), place()).prop_map(|(file, chunk, (position, length))| Step::Hole {
        file,
        chunk,
        position,
        length,
    });
    let inline = (0..FILES, place()).prop_map(|(file, (offset, length))| Step::Inline { file, offset, length });
    let truncate = (0..FILES, prop_oneof![chunk(), Just(2u64)], prop_oneof![Just(0u32), 0u32..150])
        .prop_map(|(file, chunk, end)| Step::Truncate { file, chunk, end });
    let at = || (chunk(), prop_oneof![0u32..150, Just(CHUNK_BYTES as u32 - 30)]);
    let punch = (0..FILES, at(), at(), any::<bool>()).prop_map(|(file, start, end, grow)| Step::Punch {
        file,
        start,
        end,
        grow,
    });
    let length = prop_oneof![4 => 1u64..100, 1 => Just(2 * CHUNK_BYTES), 1 => Just(u64::MAX)];
    let copy = (0..FILES, 0..FILES, at(), at(), length).prop_map(|(from, to, source, target, length)| Step::Copy {
        from,
        to,
        source,
        target,
        length,
    });
    let compact = (0..FILES, chunk(), 0usize..6, any::<bool>()).prop_map(|(file, chunk, count, copy)| Step::Compact {
        file,
        chunk,
        count,
        copy,
    });
    let remove = (0..FILES).prop_map(|file| Step::Remove { file });
    let repack = prop_oneof![3 => Just(0usize), 1 => 0usize..50].prop_map(|left| Step::Repack { left });
    let step = prop_oneof![
        8 => write, 1 => hole, 3 => inline, 3 => truncate, 3 => punch, 4 => copy, 3 => compact, 2 => Just(Step::Pack),
        2 => repack, 1 => remove
    ];
    proptest::collection::vec(step, 1..40)
}

#[derive(Default)]
struct Model {
    bytes: BTreeMap<u64, u8>,
    length: u64,
}

impl Model {
    fn write(&mut self, offset: u64, bytes: &[u8]) {
        self.bytes.extend((offset..).zip(bytes.iter().copied()));
        self.length = self.length.max(offset + bytes.len() as u64);
    }

    /// Without what is zero anyway.
    fn shown(&self) -> BTreeMap<u64, u8> {
        self.bytes.iter().filter(|(_, byte)| **byte != 0).map(|(at, byte)| (*at, *byte)).collect()
    }
}

struct World {
    volume: Volume,
    files: Vec<(Ino, Model)>,
    objects: BTreeMap<ObjectId, Vec<u8>>,
    serial: u8,
}

impl World {
    fn new() -> Self {
        let volume = Volume::new();
        let files = (0..FILES).map(|file| (volume.file(&format!("f{file}")), Model::default())).collect();
        World { volume, files, objects: BTreeMap::new(), serial: 0 }
    }

    /// Bytes that no other step writes soon, none of them zero.
    fn fresh_bytes(&mut self, length: u32) -> Vec<u8> {
        self.serial = self.serial.wrapping_add(1);
        (0..length).map(|at| (self.serial.wrapping_mul(31).wrapping_add(at as u8)).max(1)).collect()
    }

    fn put_object(&mut self, bytes: Vec<u8>) -> ObjectId {
        let object = self.volume.lease_object();
        self.objects.insert(object, bytes);
        object
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Write { file, pieces } => self.write(file, &pieces),
            Step::Hole { file, chunk, position, length } => {
                let (ino, model) = &mut self.files[file];
                let start = chunk * CHUNK_BYTES + u64::from(position);
                model.write(start, &vec![0; length as usize]);
                self.volume.write_slices(*ino, chunk, &[Slice::hole(position, length)], model.length);
            }
            Step::Inline { file, offset, length } => {
                let bytes = self.fresh_bytes(length);
                let (ino, model) = &mut self.files[file];
                let reply = self.volume.write_inline(*ino, u64::from(offset), &bytes);
                if !reply.is_not_inline() {
                    model.write(u64::from(offset), &bytes);
                }
            }
            Step::Truncate { file, chunk, end } => {
                let (ino, model) = &mut self.files[file];
                model.length = chunk * CHUNK_BYTES + u64::from(end);
                model.bytes.split_off(&model.length);
                self.volume.truncate(*ino, model.length);
            }
            Step::Punch { file, start, end, grow } => self.punch(file, offset(start), offset(end), grow),
            Step::Copy { from, to, source, target, length } => {
                self.copy((from, offset(source)), (to, offset(target)), length);
            }
            Step::Compact { file, chunk, count, copy } => self.compact(file, chunk, count, copy),
            Step::Pack => self.pack(),
            Step::Repack { left } => self.repack(left),
            Step::Remove { file } => {
                let name = format!("f{file}");
                self.volume.unlink(&name, &[]);
                self.volume.remove_queued();
                self.files[file] = (self.volume.file(&name), Model::default());
            }
        }
    }

    fn write(&mut self, file: usize, pieces: &[(u64, u32, u32)]) {
        let total: u32 = pieces.iter().map(|(_, _, length)| length).sum();
        let bytes = self.fresh_bytes(total);
        let object = self.put_object(bytes.clone());
        let (ino, model) = &mut self.files[file];
        let mut chunks: Vec<(u64, Vec<Slice>)> = Vec::new();
        let mut at = 0;
        for (chunk, position, length) in pieces.iter().copied() {
            let slice = Slice { length, object_offset: at, ..slice(position, total, object) };
            chunks.push((chunk, vec![slice]));
            let offset = chunk * CHUNK_BYTES + u64::from(position);
            model.write(offset, &bytes[at as usize..(at + length) as usize]);
            at += length;
        }
        self.volume.try_write_slices(*ino, chunks, model.length).unwrap();
    }

    fn pack(&mut self) {
        let (mut files, mut content) = (Vec::new(), Vec::new());
        for (ino, _) in &self.files {
            let bytes = self.volume.metadata.get_content(*ino).unwrap().inline.unwrap_or_default();
            if !bytes.is_empty() {
                let offset = content.len() as u32;
                content.extend(&bytes);
                files.push(PackedFile { directory: Ino::ROOT, ino: *ino, offset, bytes });
            }
        }
        if files.is_empty() {
            return;
        }
        let object_length = content.len() as u32;
        let object = self.put_object(content);
        let (session, staged_by) = (self.volume.session, self.volume.session);
        let (inline_max, now) = (0, at(8));
        let pack = Pack { object, object_length, files, inline_max, staged_by, first: true, last: true, now, session };
        self.volume.run(MetaOp::Pack(pack));
    }

    fn repack(&mut self, left: usize) {
        let files: Vec<Ino> = self.files.iter().map(|(ino, _)| *ino).collect();
        let lists = files.iter().flat_map(|ino| self.volume.metadata.get_chunk(*ino, 0).unwrap());
        let mut content = Vec::new();
        let mut parts = Vec::new();
        for slice in lists.filter(|slice| slice.kind == ObjectKind::Pack).skip(left) {
            let (from_offset, length, to_offset) = (slice.object_offset, slice.length, content.len() as u32);
            content
                .extend_from_slice(&self.objects[&slice.object][from_offset as usize..(from_offset + length) as usize]);
            parts.push(MovedPart { from: slice.object, from_offset, to_offset, length });
        }
        if parts.is_empty() {
            return;
        }
        let object_length = content.len() as u32;
        let object = self.put_object(content);
        let (first, last, now, session) = (true, true, at(8), self.volume.session);
        let repack = Repack { object, object_length, parts, files, first, last, now, session };
        self.volume.run(MetaOp::Repack(repack.clone()));
        self.check();
        assert_eq!(self.volume.run(MetaOp::Repack(repack)), MetaReply::Done, "it may run twice");
    }

    fn punch(&mut self, file: usize, start: u64, end: u64, grow: bool) {
        let (ino, model) = &mut self.files[file];
        let length_min = if grow { end } else { 0 };
        let mut punch = Fallocate { ino: *ino, start, end, length_min, session: self.volume.session, now: at(6) };
        while punch.start < end {
            punch.start = self.volume.run(MetaOp::Fallocate(punch.clone())).into_fallocated().unwrap().reached;
        }
        if start < end {
            model.bytes.retain(|at, _| !(start..end).contains(at));
            model.length = model.length.max(length_min);
        }
    }

    fn copy(&mut self, (from, source_offset): (usize, u64), (to, target_offset): (usize, u64), length: u64) {
        let (source, target) = (self.files[from].0, self.files[to].0);
        let wanted = length.min(self.files[from].1.length.saturating_sub(source_offset));
        let mut copied = 0;
        while copied < wanted {
            let (source_offset, target_offset) = (source_offset + copied, target_offset + copied);
            let length = wanted - copied;
            let copy = CopyRange {
                source,
                source_offset,
                target,
                target_offset,
                length,
                session: self.volume.session,
                now: at(7),
            };
            match self.volume.try_run(MetaOp::CopyRange(copy)) {
                Ok(MetaReply::Copied(step)) => {
                    assert!(step.count > 0, "a step that is not the last copies something");
                    self.note_copied((from, source_offset), (to, target_offset), step.count);
                    copied += step.count;
                }
                Ok(MetaReply::CopyBytes(count)) => {
                    let inline = self.volume.metadata.get_content(source).unwrap().inline.unwrap();
                    assert_eq!(count, (wanted - copied).min(inline.len() as u64 - source_offset));
                    return;
                }
                Err(error) if target_offset > FILE_BYTES_MAX - (wanted - copied) => {
                    return assert_eq!(error.errno(), Errno::EFBIG);
                }
                Err(error) => {
                    assert!(from == to && source_offset.abs_diff(target_offset) < wanted - copied);
                    return assert_eq!(error.errno(), Errno::EINVAL);
                }
                Ok(other) => panic!("{other:?}"),
            }
        }
    }

    fn note_copied(&mut self, (from, source): (usize, u64), (to, target): (usize, u64), count: u64) {
        let shown: Vec<(u64, u8)> =
            self.files[from].1.bytes.range(source..source + count).map(|(at, byte)| (*at, *byte)).collect();
        let model = &mut self.files[to].1;
        model.bytes.retain(|at, _| !(target..target + count).contains(at));
        model.bytes.extend(shown.into_iter().map(|(at, byte)| (target + (at - source), byte)));
        model.length = model.length.max(target + count);
    }

    /// What the slices show, the slow and obvious way: for each place the slice that counts.
    fn painted(list: &[Slice]) -> BTreeMap<u32, Slice> {
        let mut painted = BTreeMap::new();
        for slice in list {
            painted.extend((slice.position..slice.end()).map(|at| {
                let byte = Slice { position: at, length: 1, ..*slice };
                (at, Slice { object_offset: slice.object_offset + at - slice.position, ..byte })
            }));
        }
        painted
    }

    fn byte(&self, slice: &Slice) -> u8 {
        match slice.kind {
            ObjectKind::Hole => 0,
            _ => self.objects[&slice.object][slice.object_offset as usize],
        }
    }

    fn compact(&mut self, file: usize, chunk: u64, count: usize, copy: bool) {
        let ino = self.files[file].0;
        let list = self.volume.metadata.get_chunk(ino, chunk).unwrap();
        let old = list[..count.min(list.len())].to_vec();
        let mut new: Vec<Slice> = Self::painted(&old).into_values().collect();
        new.iter_mut().filter(|slice| slice.kind == ObjectKind::Hole).for_each(|slice| slice.object_offset = 0);
        if copy {
            let data: Vec<u8> = new.iter().map(|slice| self.byte(slice)).collect();
            let length = data.len() as u32;
            let object = if data.is_empty() { ObjectId(0) } else { self.put_object(data) };
            new = (0..)
                .zip(&new)
                .map(|(at, old)| Slice { object_offset: at, length: 1, ..slice(old.position, length, object) })
                .collect();
        }
        let replace = ReplaceSlices { ino, chunk, old, new, delete_at: at(8), session: self.volume.session };
        assert_eq!(self.volume.run(MetaOp::ReplaceSlices(replace)), MetaReply::Replaced(true));
    }

    /// Every file shows its bytes, and all sums are right.
    fn check(&self) {
        let volume = &self.volume;
        let mut live: BTreeMap<ObjectId, i64> = BTreeMap::new();
        let mut used = 0;
        for (ino, model) in &self.files {
            let content = volume.metadata.get_content(*ino).unwrap();
            assert_eq!(content.attributes.length, model.length);
            let inline = content.inline.unwrap_or_default();
            let mut allocated = inline.len() as i64;
            let mut shown: BTreeMap<u64, u8> = (0..).zip(inline).collect();
            let chunks = volume.metadata.get_chunks(*ino, 0, 100).unwrap();
            assert!(chunks.starts_with(&content.chunks) && content.chunks.is_empty() == chunks.is_empty());
            assert!(!content.all_chunks || content.chunks == chunks);
            for (chunk, list) in chunks {
                for slice in list.iter().filter(|slice| slice.kind != ObjectKind::Hole) {
                    *live.entry(slice.object).or_default() += i64::from(slice.length);
                    allocated += i64::from(slice.length);
                }
                let start = chunk * CHUNK_BYTES;
                let painted = Self::painted(&list);
                shown.extend(painted.iter().map(|(at, slice)| (start + u64::from(*at), self.byte(slice))));
            }
            shown.retain(|_, byte| *byte != 0);
            assert_eq!(shown, model.shown());
            assert_eq!(volume.number(Key::Accumulator(*ino, Accumulator::Allocated)), allocated);
            used += allocated;
        }
        assert_eq!(volume.number(Key::Counter(Counter::UsedBytes)), used);
        let queued = volume.metadata.queued_deletions(u64::MAX, 100_000).unwrap();
        for object in self.objects.keys() {
            let bytes = live.get(object).copied().unwrap_or(0);
            assert_eq!(volume.number(Key::Object(*object)), bytes);
            let queued = queued.iter().filter(|entry| entry.object == *object).count();
            assert_eq!(queued, usize::from(bytes == 0), "object {object} with {bytes} live bytes");
        }
        assert_eq!(check::run(&volume.metadata, &mut |_| {}).unwrap().findings, []);
    }

    fn end(mut self) {
        for file in 0..FILES {
            self.step(Step::Remove { file });
            self.volume.unlink(&format!("f{file}"), &[]);
        }
        self.volume.remove_queued();
        let forgotten = self.volume.forget_queued();
        assert_eq!(forgotten.len(), self.objects.len());
        let report = check::run(&self.volume.metadata, &mut |_| {}).unwrap();
        assert_eq!((report.inodes, report.bytes, report.objects), (1, 0, 0));
        assert_eq!(self.volume.metadata.queued_deletions(u64::MAX, 1).unwrap(), []);
        assert_eq!(self.volume.number(Key::Counter(Counter::UsedBytes)), 0);
    }
}

fn offset((chunk, position): (u64, u32)) -> u64 {
    chunk * CHUNK_BYTES + u64::from(position)
}

const FILES: usize = 2;

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn files_show_what_was_written_and_every_byte_is_accounted_for(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
            world.check();
        }
        world.end();
    }
}
