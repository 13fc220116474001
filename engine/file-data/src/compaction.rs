//! When a chunk's slice list is worth rewriting.

use crate::ResolvedChunk;
use shoal_types::Slice;

/// True when the list is long, or lists far more bytes than it shows, and rewriting what it shows into objects of
/// `block_bytes` would mend that.
///
/// A list that is long because its data is scattered stays as it is: rewritten, it would be as long again.
pub fn needs_compaction(list: &[Slice], resolved: &ResolvedChunk, block_bytes: u32) -> bool {
    let long = list.len() >= SLICES_LONG && slices_after(resolved, block_bytes) * 2 <= list.len();
    let covered = covered_bytes(list, resolved);
    let mostly_covered = covered >= COVERED_BLOCKS_MIN * u64::from(block_bytes) && covered >= 2 * resolved.data_bytes();
    long || mostly_covered
}

/// True when rewriting the list would make it shorter, or free bytes that it covers: for who asks for it.
pub fn is_fragmented(list: &[Slice], resolved: &ResolvedChunk, block_bytes: u32) -> bool {
    slices_after(resolved, block_bytes) < list.len() || covered_bytes(list, resolved) > 0
}

/// Bytes of objects that later slices cover.
fn covered_bytes(list: &[Slice], resolved: &ResolvedChunk) -> u64 {
    let listed: u64 = list.iter().filter(|slice| slice.object.0 != 0).map(|slice| u64::from(slice.length)).sum();
    listed - resolved.data_bytes()
}

/// Slices that the same content takes when it's freshly written: one for each block that a run of data touches.
fn slices_after(resolved: &ResolvedChunk, block_bytes: u32) -> usize {
    let mut slices = 0;
    let mut run_end = None;
    let mut last_block = None;
    for extent in resolved.data() {
        let first = extent.position / block_bytes;
        let last = (extent.end() - 1) / block_bytes;
        let shared = run_end == Some(extent.position) && last_block == Some(first);
        slices += (last - first + 1) as usize - usize::from(shared);
        run_end = Some(extent.end());
        last_block = Some(last);
    }
    slices
}

/// Slices at which reading a list begins to cost more than reading what it names.
const SLICES_LONG: usize = 64;
/// Less dead weight than so many blocks isn't worth a rewrite.
const COVERED_BLOCKS_MIN: u64 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_types::{BLOCK_BYTES, CHUNK_BYTES, ObjectId, ObjectKind};

    fn slice(position: u64, length: u64, object: u64) -> Slice {
        let (position, length) = (position as u32, length as u32);
        let kind = ObjectKind::Block;
        Slice { position, length, object: ObjectId(object), object_offset: 0, object_length: length, kind }
    }

    fn needed(list: &[Slice]) -> bool {
        needs_compaction(list, &ResolvedChunk::new(list), BLOCK_BYTES as u32)
    }

    #[test]
    fn a_chunk_written_once_is_left_alone() {
        let blocks: Vec<Slice> = (0..16).map(|n| slice(n * BLOCK_BYTES, BLOCK_BYTES, n + 1)).collect();
        assert!(!needed(&blocks));
        assert!(!needed(&[]));
    }

    #[test]
    fn many_small_appends_are_rewritten() {
        let appends: Vec<Slice> = (0..100).map(|n| slice(n * 1000, 1000, n + 1)).collect();
        assert!(needed(&appends));
    }

    #[test]
    fn scattered_pieces_are_left_alone_because_they_would_stay_scattered() {
        let scattered: Vec<Slice> = (0..500).map(|n| slice(n * 100_000, 1000, n + 1)).collect();
        assert!(!needed(&scattered));
    }

    #[test]
    fn a_chunk_overwritten_again_and_again_is_rewritten() {
        let again: Vec<Slice> = (0..3).map(|n| slice(0, CHUNK_BYTES, n + 1)).collect();
        assert!(!needed(&again[..2]));
        assert!(needed(&again));
    }

    #[test]
    fn the_result_of_a_rewrite_is_not_rewritten_again() {
        let blocks: Vec<Slice> = (0..16).map(|n| slice(n * BLOCK_BYTES, BLOCK_BYTES, n + 1)).collect();
        let scattered: Vec<Slice> = (0..70).map(|n| slice(n * 900_000, 1000, n + 1)).collect();
        for rewritten in [blocks, scattered] {
            assert!(slices_after(&ResolvedChunk::new(&rewritten), BLOCK_BYTES as u32) >= rewritten.len());
            assert!(!needed(&rewritten));
            assert!(!is_fragmented(&rewritten, &ResolvedChunk::new(&rewritten), BLOCK_BYTES as u32));
        }
    }

    #[test]
    fn what_is_long_or_dead_weight_is_counted_in_blocks_of_the_volume() {
        let small = 64 << 10;
        let whole: Vec<Slice> = (0..1024).map(|n| slice(n << 16, 1 << 16, n + 1)).collect();
        let resolved = ResolvedChunk::new(&whole);
        assert!(!needs_compaction(&whole, &resolved, small) && !is_fragmented(&whole, &resolved, small));
        assert!(needs_compaction(&whole, &resolved, 4 << 20) && is_fragmented(&whole, &resolved, 4 << 20));
        let again: Vec<Slice> = (0..5).map(|n| slice(0, 1 << 16, n + 1)).collect();
        let resolved = ResolvedChunk::new(&again);
        assert!(needs_compaction(&again, &resolved, small) && !needs_compaction(&again, &resolved, 4 << 20));
        assert!(is_fragmented(&again, &resolved, 4 << 20), "whoever asks for it wants the room back");
    }
}
