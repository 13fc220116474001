//! Compression of one frame. Contexts and scratch space live with the thread, because setting them up costs as much as
//! compressing a small frame.

use shoal_types::Compression;
use std::cell::RefCell;

/// As the header names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Codec {
    Lz4 = 1,
    Zstd = 2,
}

impl Codec {
    pub fn of(compression: Compression) -> Option<Self> {
        match compression {
            Compression::None => None,
            Compression::Lz4 => Some(Codec::Lz4),
            Compression::Zstd(_) => Some(Codec::Zstd),
        }
    }
}

/// A frame must shrink by this share for its readers to be spared more than decompression costs them.
const SAVING_MIN: usize = 32;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

#[derive(Default)]
struct Scratch {
    output: Vec<u8>,
    /// With the level it is set to.
    zstd: Option<(i8, zstd::bulk::Compressor<'static>)>,
    unzstd: Option<zstd::bulk::Decompressor<'static>>,
}

/// Calls `then` with the compressed form of a frame, or with `None` if it is not worth it.
pub(crate) fn compressed<T>(compression: Compression, plain: &[u8], then: impl FnOnce(Option<&[u8]>) -> T) -> T {
    let worth = plain.len() - plain.len().div_ceil(SAVING_MIN);
    SCRATCH.with_borrow_mut(|scratch| {
        let length = match compression {
            Compression::None => None,
            Compression::Lz4 => {
                scratch.output.resize(lz4_flex::block::get_maximum_output_size(plain.len()), 0);
                lz4_flex::block::compress_into(plain, &mut scratch.output).ok()
            }
            Compression::Zstd(level) => scratch.zstd(level, plain, worth),
        };
        then(length.filter(|length| *length <= worth).map(|length| &scratch.output[..length]))
    })
}

/// The plain bytes of a frame, which are `length`; `None` if `stored` is not the compressed form of so many bytes.
pub(crate) fn decompressed(codec: Codec, stored: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut plain = vec![0; length];
    let found = match codec {
        Codec::Lz4 => lz4_flex::block::decompress_into(stored, &mut plain).ok(),
        Codec::Zstd => {
            SCRATCH.with_borrow_mut(|scratch| scratch.unzstd()?.decompress_to_buffer(stored, &mut plain[..]).ok())
        }
    };
    (found == Some(length)).then_some(plain)
}

impl Scratch {
    /// `None` also when there would be more than `worth` bytes.
    fn zstd(&mut self, level: i8, plain: &[u8], worth: usize) -> Option<usize> {
        if self.zstd.as_ref().is_none_or(|(set, _)| *set != level) {
            self.zstd = zstd::bulk::Compressor::new(i32::from(level)).ok().map(|fresh| (level, fresh));
        }
        self.output.resize(worth, 0);
        let (_, compressor) = self.zstd.as_mut()?;
        compressor.compress_to_buffer(plain, &mut self.output[..]).ok()
    }

    fn unzstd(&mut self) -> Option<&mut zstd::bulk::Decompressor<'static>> {
        if self.unzstd.is_none() {
            self.unzstd = zstd::bulk::Decompressor::new().ok();
        }
        self.unzstd.as_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Compression; 4] =
        [Compression::Lz4, Compression::Zstd(-3), Compression::Zstd(1), Compression::Zstd(19)];

    /// The finaliser of SplitMix64.
    fn twisted(number: u64) -> u64 {
        let mixed = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9).wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    #[test]
    fn what_shrinks_comes_back_and_what_does_not_is_left_alone() {
        let text = b"the quick brown fish jumps over the lazy dogfish. ".repeat(500);
        let noise: Vec<u8> = (0..20_000u64).map(|at| twisted(at).to_be_bytes()[0]).collect();
        for compression in ALL {
            let codec = Codec::of(compression).unwrap();
            let stored = compressed(compression, &text, |stored| stored.unwrap().to_vec());
            assert!(stored.len() < text.len() / 10, "{compression}: {}", stored.len());
            assert_eq!(decompressed(codec, &stored, text.len()).unwrap(), text);
            for wrong in [0, text.len() - 1, text.len() + 1] {
                assert_eq!(decompressed(codec, &stored, wrong), None, "{compression} as {wrong} bytes");
            }
            for plain in [&noise[..], b"x", b""] {
                compressed(compression, plain, |stored| assert!(stored.is_none(), "{compression}"));
            }
        }
    }
}
