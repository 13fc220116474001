//! Where the bytes of a GET land: one piece of memory as large as the answer, filled chunk by chunk as they arrive.
//!
//! A chunk is copied while it's still in the processor's cache, and its memory serves the connection again at once. The large
//! pieces are recycled, because touching fresh memory for the first time costs as much as copying into it.

use bytes::Bytes;
use crossbeam_queue::ArrayQueue;
use opendal::Operator;
use std::ops::RangeBounds;
use std::sync::LazyLock;

/// Smaller ones are as well served by the allocator.
const RECYCLED_MIN: usize = 1 << 20;
/// Objects of the default size with what is around their frames; whatever is larger is not recycled.
const RECYCLED_BYTES: usize = (4 << 20) + (64 << 10);
/// As many as one reader in order keeps under way.
const IDLE_MAX: usize = 16;

static IDLE: LazyLock<ArrayQueue<Vec<u8>>> = LazyLock::new(|| ArrayQueue::new(IDLE_MAX));

/// Bytes that give their memory back with the last handle to them.
struct Landed(Vec<u8>);

/// Reads a range of an object. `expected`: how many bytes it has, where that is known.
pub(crate) async fn read(
    operator: &Operator,
    key: &str,
    range: impl RangeBounds<u64>,
    expected: Option<usize>,
) -> opendal::Result<Bytes> {
    let reader = operator.reader(key).await?;
    let mut landing = Landed(room_for(expected));
    reader.read_into(&mut landing.0, range).await?;
    Ok(landing.bytes())
}

/// What may be large gets a large piece: memory that nothing comes into costs nothing.
fn room_for(bytes: Option<usize>) -> Vec<u8> {
    match bytes {
        None | Some(RECYCLED_MIN..=RECYCLED_BYTES) => IDLE.pop().unwrap_or_else(|| Vec::with_capacity(RECYCLED_BYTES)),
        Some(bytes) => Vec::with_capacity(bytes),
    }
}

impl Landed {
    fn bytes(self) -> Bytes {
        match self.0.len() {
            // What little came into a large piece leaves it, and it is free for others.
            few if few < RECYCLED_MIN && self.is_recycled() => Bytes::copy_from_slice(&self.0),
            _ => Bytes::from_owner(self),
        }
    }

    fn is_recycled(&self) -> bool {
        self.0.capacity() == RECYCLED_BYTES
    }
}

impl AsRef<[u8]> for Landed {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Landed {
    fn drop(&mut self) {
        if self.is_recycled() {
            let mut memory = std::mem::take(&mut self.0);
            memory.clear();
            // Too many are idle: this one goes.
            let _ = IDLE.push(memory);
        }
    }
}
