//! What compressing and encrypting an object costs, beside the libraries called barely on the same bytes. In bytes per second
//! of this thread's CPU time, so that what else the machine does counts little.
//!
//! The bytes are those of the `shoal` binary, block by block. The bare calls take a block as one piece, write into memory that is
//! there already, and make no frames, checks, keys or table. They leave the block as it is, as an upload must: what is not
//! compressed is copied before it is sealed in place, which is all that the library can do.

use super::Workload;
use crate::arguments::{Settings, TargetKind};
use crate::failure::{During, Failure, Outcome};
use crate::interrupt;
use crate::results::{Measured, Unit};
use crate::targets::{Ground, Running};
use bytes::Bytes;
use ring::aead::{AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use rustix::time::{ClockId, clock_gettime};
use shoal_encryption::{VolumeKey, VolumeSealer};
use shoal_object_format::ObjectFormat;
use shoal_types::{Cipher, Compression, ObjectId};
use std::fs::File;
use std::hint::black_box;
use std::io::Read;

#[derive(Default)]
pub(super) struct ObjectEncoding {
    blocks: Vec<Bytes>,
}

const BLOCK_BYTES: usize = 4 << 20;
const BLOCKS: u64 = 4;
const BARE: &str = "bare-codecs";

/// Each as its metric calls it.
const FORMS: [(&str, Compression, Option<Cipher>); 6] = [
    ("lz4", Compression::Lz4, None),
    ("zstd-1", Compression::Zstd(1), None),
    ("aes-256-gcm", Compression::None, Some(Cipher::Aes256Gcm)),
    ("chacha20-poly1305", Compression::None, Some(Cipher::ChaCha20Poly1305)),
    ("lz4-aes-256-gcm", Compression::Lz4, Some(Cipher::Aes256Gcm)),
    ("zstd-1-chacha20-poly1305", Compression::Zstd(1), Some(Cipher::ChaCha20Poly1305)),
];

impl Workload for ObjectEncoding {
    fn name(&self) -> &'static str {
        "object-encoding"
    }

    fn about(&self) -> &'static str {
        "compressing and encrypting objects, in bytes a CPU second, beside bare calls of the same libraries"
    }

    /// No mount takes part in it.
    fn concerns(&self, target: TargetKind) -> bool {
        target == TargetKind::Shoal
    }

    fn obstacle(&mut self, _settings: &Settings, ground: &Ground) -> Outcome<Option<String>> {
        let binary = ground.binaries.join("shoal");
        let mut file = File::open(&binary).during(binary.display())?;
        self.blocks.clear();
        for _ in 0..BLOCKS {
            let mut block = vec![0; BLOCK_BYTES];
            if file.read_exact(&mut block).is_err() {
                break;
            }
            self.blocks.push(block.into());
        }
        Ok(self.blocks.is_empty().then(|| format!("{} is smaller than a block", binary.display())))
    }

    fn run(&self, _target: &Running, settings: &Settings) -> Outcome<Vec<Measured>> {
        let passes = (settings.file_bytes / 4 / (BLOCK_BYTES * self.blocks.len()) as u64).max(1);
        let mut measured = Vec::new();
        for (name, compression, cipher) in FORMS {
            interrupt::check()?;
            let metric = format!("{}/{name}", self.name());
            let format = ObjectFormat::new(compression, cipher.map(sealer));
            let mut encode = |block: &Bytes| {
                drop(black_box(format.encode(ObjectId(7), std::slice::from_ref(block))));
                Ok(())
            };
            let ours = self.bytes_per_cpu_second(passes, &mut encode)?;
            let mut bare = Bare::new(compression, cipher)?;
            let theirs = self.bytes_per_cpu_second(passes, &mut |block| bare.encode(block))?;
            for (value, instead_of_target) in [(ours, None), (theirs, Some(BARE))] {
                let metric = metric.clone();
                measured.push(Measured { metric, unit: Unit::BytesPerSecond, value, latency: None, instead_of_target });
            }
        }
        Ok(measured)
    }
}

impl ObjectEncoding {
    fn bytes_per_cpu_second(&self, passes: u64, encode: &mut dyn FnMut(&Bytes) -> Outcome<()>) -> Outcome<f64> {
        // Contexts and buffers that live on are made now.
        encode(&self.blocks[0])?;
        let begun = cpu_seconds();
        for _ in 0..passes {
            self.blocks.iter().try_for_each(&mut *encode)?;
        }
        let bytes = passes * (self.blocks.len() * BLOCK_BYTES) as u64;
        Ok(bytes as f64 / (cpu_seconds() - begun).max(1e-9))
    }
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn sealer(cipher: Cipher) -> VolumeSealer {
    VolumeSealer::new(cipher, &VolumeKey::generate(), "perf")
}

/// The libraries that `engine/object-format` and `engine/encryption` use, and their memory.
struct Bare {
    lz4: bool,
    zstd: Option<zstd::bulk::Compressor<'static>>,
    key: Option<LessSafeKey>,
    output: Vec<u8>,
}

impl Bare {
    fn new(compression: Compression, cipher: Option<Cipher>) -> Outcome<Self> {
        let zstd = match compression {
            Compression::Zstd(level) => Some(zstd::bulk::Compressor::new(level.into()).during("zstd")?),
            Compression::None | Compression::Lz4 => None,
        };
        let algorithm: Option<&'static Algorithm> = cipher.map(|cipher| match cipher {
            Cipher::Aes256Gcm => &AES_256_GCM,
            Cipher::ChaCha20Poly1305 => &CHACHA20_POLY1305,
        });
        let key = |algorithm| UnboundKey::new(algorithm, &[7; 32]).map(LessSafeKey::new);
        let key = algorithm.map(key).transpose().map_err(|_| Failure::new("the cipher refuses its key"))?;
        // The most that a block may become, or the block itself.
        let output = vec![7; lz4_flex::block::get_maximum_output_size(BLOCK_BYTES)];
        Ok(Bare { lz4: compression == Compression::Lz4, zstd, key, output })
    }

    fn encode(&mut self, block: &[u8]) -> Outcome<()> {
        let length = if self.lz4 {
            lz4_flex::block::compress_into(block, &mut self.output).during("lz4")?
        } else if let Some(zstd) = &mut self.zstd {
            zstd.compress_to_buffer(block, &mut self.output[..]).during("zstd")?
        } else {
            self.output[..block.len()].copy_from_slice(block);
            block.len()
        };
        if let Some(key) = &self.key {
            let nonce = Nonce::assume_unique_for_key([7; 12]);
            let tag = key.seal_in_place_separate_tag(nonce, Aad::empty(), &mut self.output[..length]);
            let _ = black_box(tag.map_err(|_| Failure::new("the cipher refuses a block"))?);
        }
        black_box(&self.output);
        Ok(())
    }
}
