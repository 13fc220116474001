//! Claims about the write buffer, held against a map with one entry a byte.

use super::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Insert(u64, usize),
    Take(u64, u64),
    TakeFullBlocks,
    Truncate(u64),
}

/// Lengths and offsets around the thresholds are likelier than others.
fn step() -> impl Strategy<Value = Step> {
    let unit = SMALL_BYTES as u64 / 2;
    let offset = prop_oneof![0..16 * unit, (0u64..16).prop_map(move |n| n * unit)];
    let length = prop_oneof![1..20usize, 1..3 * SMALL_BYTES, Just(SMALL_BYTES / 2), Just(2 * SMALL_BYTES)];
    prop_oneof![
        8 => (offset.clone(), length).prop_map(|(offset, length)| Step::Insert(offset, length)),
        1 => (offset.clone(), offset.clone()).prop_map(|(a, b)| Step::Take(a.min(b), a.max(b))),
        1 => Just(Step::TakeFullBlocks),
        1 => offset.prop_map(Step::Truncate),
    ]
}

const BLOCK: u64 = 64 << 10;

#[derive(Default)]
struct Model(Vec<Option<u8>>);

impl Model {
    fn insert(&mut self, offset: u64, data: &[u8]) {
        let end = offset as usize + data.len();
        if self.0.len() < end {
            self.0.resize(end, None);
        }
        for (place, byte) in self.0[offset as usize..end].iter_mut().zip(data) {
            *place = Some(*byte);
        }
    }

    fn take(&mut self, range: Range<u64>) -> Model {
        let mut taken = Model(vec![None; self.0.len()]);
        for at in range.start as usize..(range.end as usize).min(self.0.len()) {
            taken.0[at] = self.0[at].take();
        }
        taken
    }

    fn full_blocks(&self) -> Vec<u64> {
        let blocks = self.0.chunks_exact(BLOCK as usize).enumerate();
        blocks.filter(|(_, bytes)| bytes.iter().all(Option::is_some)).map(|(block, _)| block as u64 * BLOCK).collect()
    }

    fn end(&self) -> u64 {
        self.0.iter().rposition(Option::is_some).map_or(0, |at| at as u64 + 1)
    }
}

fn assert_same(map: &DirtyMap, model: &Model) {
    assert_eq!(map.end(), model.end());
    assert_eq!(map.bytes(), model.0.iter().flatten().count());
    assert_eq!(map.is_empty(), model.end() == 0);
    let mut painted = vec![None; model.0.len()];
    let mut end_before = None;
    for (offset, parts) in map.runs() {
        assert!(end_before.is_none_or(|end| end < offset), "runs are as long as they can be");
        let bytes = parts.concat();
        for (at, byte) in bytes.iter().enumerate() {
            painted[offset as usize + at] = Some(*byte);
        }
        end_before = Some(offset + bytes.len() as u64);
    }
    assert!(painted == model.0, "the runs hold other bytes than the model");
    let growing: Vec<u64> =
        map.extents.iter().filter(|(_, e)| matches!(e, Extent::Growing(_))).map(|(at, _)| *at).collect();
    assert!(growing.len() <= 1 && growing.iter().all(|at| map.growing == Some(*at)), "one extent at most grows");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_map_agrees_with_a_map_of_single_bytes(
        steps in proptest::collection::vec(step(), 1..40),
        start in 0u64..300_000,
        length in 0u64..100_000,
    ) {
        let (mut map, mut model) = (DirtyMap::default(), Model::default());
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Insert(offset, length) => {
                    let data: Vec<u8> = (0..length).map(|at| (at * 31 + number * 7) as u8).collect();
                    model.insert(offset, &data);
                    map.insert(offset, data.into());
                }
                Step::Take(start, end) => assert_same(&map.take(start..end), &model.take(start..end)),
                Step::TakeFullBlocks => {
                    let taken = map.take_full_blocks(BLOCK).unwrap_or_default();
                    let full = model.full_blocks();
                    prop_assert_eq!(taken.bytes() as u64, full.len() as u64 * BLOCK);
                    for block in full {
                        prop_assert!(taken.covers(block..block + BLOCK));
                        let expected: Vec<u8> = model.take(block..block + BLOCK).0.into_iter().flatten().collect();
                        let mut bytes = vec![0; BLOCK as usize];
                        taken.overlay(block, &mut bytes);
                        prop_assert!(bytes == expected);
                    }
                }
                Step::Truncate(length) => {
                    map.truncate(length);
                    model.0.truncate(length as usize);
                }
            }
            model.0.truncate(model.end() as usize);
            assert_same(&map, &model);
        }
        let asked = start as usize..(start + length) as usize;
        model.0.resize(model.0.len().max(asked.end), None);
        let expected = &model.0[asked.clone()];
        prop_assert_eq!(map.covers(start..start + length), expected.iter().all(Option::is_some));
        let mut target = vec![0xee; asked.len()];
        map.overlay(start, &mut target);
        prop_assert!(target.iter().zip(expected).all(|(byte, wanted)| *byte == wanted.unwrap_or(0xee)));
        let mut pieces = Vec::new();
        map.pieces(start..start + length, &mut pieces);
        let mut from_pieces = vec![None; asked.len()];
        for (offset, bytes) in pieces {
            for (at, byte) in bytes.iter().enumerate() {
                from_pieces[(offset - start) as usize + at] = Some(*byte);
            }
        }
        prop_assert!(from_pieces == expected);
    }
}

#[test]
fn a_stream_of_small_writes_becomes_few_extents() {
    let mut map = DirtyMap::default();
    for at in 0..1024u64 {
        map.insert(at * 4096, vec![at as u8; 4096].into());
    }
    assert_eq!(map.extents.len(), (4 << 20) / GROWN_BYTES_MAX);
    let full = map.take_full_blocks(4 << 20).expect("one block is full");
    assert_eq!((full.bytes(), map.bytes()), (4 << 20, 0));
}

#[test]
fn large_writes_are_kept_without_a_copy() {
    let mut map = DirtyMap::default();
    let data = Bytes::from(vec![1; 1 << 20]);
    map.insert(10, data.clone());
    map.insert(100, vec![2; 50_000].into());
    let inside = data.as_ptr_range();
    let parts: Vec<Bytes> = map.runs().flat_map(|(_, parts)| parts).collect();
    let shared: usize = parts.iter().filter(|part| inside.contains(&part.as_ptr())).map(Bytes::len).sum();
    assert_eq!(shared, (1 << 20) - 50_000);
}

#[test]
fn blocks_far_apart_are_found_without_visiting_those_between() {
    let mut map = DirtyMap::default();
    map.insert(0, vec![1; BLOCK as usize].into());
    map.insert(1 << 62, vec![2; BLOCK as usize].into());
    let full = map.take_full_blocks(BLOCK).expect("two blocks are full");
    assert_eq!(full.runs().map(|(offset, _)| offset).collect::<Vec<_>>(), [0, 1 << 62]);
    assert!(map.is_empty());
}

#[test]
fn truncating_in_the_middle_keeps_the_start() {
    let mut map = DirtyMap::default();
    map.insert(0, vec![1; 100].into());
    map.insert(200, vec![2; 100].into());
    map.truncate(250);
    assert_eq!((map.end(), map.bytes()), (250, 150));
    map.truncate(0);
    assert!(map.is_empty());
}
