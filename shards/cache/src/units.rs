//! Arithmetic of blocks and units: which bits a byte range touches.

use shoal_types::BLOCK_BYTES;
use std::ops::Range;

/// The grain of validity and of checksums.
pub const UNIT_BYTES: u64 = 64 << 10;
pub const UNITS_PER_BLOCK: u32 = (BLOCK_BYTES / UNIT_BYTES) as u32;

const _: () = assert!(UNITS_PER_BLOCK == u64::BITS, "the valid units of a block are one u64");

/// The mask of some neighbouring units; the range is not empty.
pub(crate) fn mask(units: Range<u32>) -> u64 {
    assert!(units.start < units.end && units.end <= UNITS_PER_BLOCK, "units of one block");
    (u64::MAX >> (UNITS_PER_BLOCK - (units.end - units.start))) << units.start
}

pub(crate) fn bytes_of(units: u64) -> u64 {
    u64::from(units.count_ones()) * UNIT_BYTES
}

/// The units of `mask` as runs of neighbours, none longer than `length_max`.
pub(crate) fn runs(mask: u64, length_max: u32) -> impl Iterator<Item = Range<u32>> {
    let mut rest = mask;
    std::iter::from_fn(move || {
        if rest == 0 {
            return None;
        }
        let start = rest.trailing_zeros();
        let length = (rest >> start).trailing_ones().min(length_max);
        let run = start..start + length;
        rest &= !self::mask(run.clone());
        Some(run)
    })
}

/// The blocks that bytes `range` of a file touch, each with the mask of its touched units.
pub(crate) fn spans(range: Range<u64>) -> impl Iterator<Item = (u64, u64)> {
    let mut position = range.start;
    std::iter::from_fn(move || {
        if position >= range.end {
            return None;
        }
        let block = position / BLOCK_BYTES;
        let within = position % BLOCK_BYTES;
        let count = (BLOCK_BYTES - within).min(range.end - position);
        position += count;
        let units = (within / UNIT_BYTES) as u32..(within + count).div_ceil(UNIT_BYTES) as u32;
        Some((block, mask(units)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_touch_every_unit_of_the_range_and_no_other() {
        let collect = |range: Range<u64>| spans(range).collect::<Vec<_>>();
        assert_eq!(collect(0..1), [(0, 1)]);
        assert_eq!(collect(65_535..65_537), [(0, 3)]);
        assert_eq!(collect(BLOCK_BYTES - 1..BLOCK_BYTES + 1), [(0, 1 << 63), (1, 1)]);
        assert_eq!(collect(0..2 * BLOCK_BYTES), [(0, u64::MAX), (1, u64::MAX)]);
        assert_eq!(collect(5..5), []);
    }

    #[test]
    fn runs_give_back_the_mask_in_bounded_pieces() {
        for mask in [0, 1, u64::MAX, 0b1110_0111, 1 << 63] {
            let pieces: Vec<_> = runs(mask, 16).collect();
            assert!(pieces.iter().all(|run| run.len() <= 16));
            assert_eq!(pieces.iter().fold(0, |sum, run| sum | super::mask(run.clone())), mask);
            assert_eq!(pieces.iter().map(|run| run.len() as u32).sum::<u32>(), mask.count_ones());
        }
    }
}
