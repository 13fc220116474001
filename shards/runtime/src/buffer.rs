//! Page-aligned buffers, recycled through a process-wide lock-free pool.
//!
//! O_DIRECT needs the alignment; recycling spares the page faults of fresh memory (256 of them in a 1 MiB buffer cost
//! as much as copying it). The pool is bounded; what does not fit is given back to the allocator.

use crossbeam_queue::ArrayQueue;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::any::Any;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::{Arc, LazyLock};

/// Bytes in a page-aligned allocation. The visible length may be anything up to the capacity.
pub struct AlignedBuffer {
    start: NonNull<u8>,
    capacity: usize,
    length: usize,
    /// Whom the memory belongs to, if not to the buffer.
    lender: Option<Lender>,
}

/// Keeps lent memory where it is, and learns by its drop that the memory is free again.
pub type Lender = Arc<dyn Any + Send + Sync>;

// SAFETY: the buffer alone may touch its memory, like a Vec<u8>: owned, or lent under that promise (`lent`).
unsafe impl Send for AlignedBuffer {}
// SAFETY: shared access gives only `&[u8]`.
unsafe impl Sync for AlignedBuffer {}

const ALIGNMENT: usize = 4096;
/// One fault in the place of 512, and as many pages less for the kernel to look up in each direct write.
const HUGE_PAGE: usize = 2 << 20;
/// Size classes, in bytes, and how many idle buffers of each the pool keeps.
const CLASSES: [(usize, usize); 5] =
    [(4096, 1024), (64 << 10, 256), (256 << 10, 128), ((1 << 20) + 4096, 64), ((4 << 20) + 4096, 16)];

static POOL: LazyLock<[ArrayQueue<AlignedBuffer>; CLASSES.len()]> =
    LazyLock::new(|| CLASSES.map(|(_, idle)| ArrayQueue::new(idle)));

impl AlignedBuffer {
    /// A buffer of at least `bytes` capacity and length 0. Its old content is arbitrary but initialized.
    pub fn with_capacity(bytes: usize) -> Self {
        let class = CLASSES.iter().position(|(size, _)| bytes <= *size);
        if let Some(mut buffer) = class.and_then(|class| POOL[class].pop()) {
            buffer.length = 0;
            return buffer;
        }
        Self::allocate(class.map_or(bytes, |class| CLASSES[class].0))
    }

    fn allocate(bytes: usize) -> Self {
        let capacity = bytes.next_multiple_of(ALIGNMENT).max(ALIGNMENT);
        let layout = Self::layout(capacity);
        // SAFETY: the layout's size is at least one page, never zero.
        let start = unsafe { alloc(layout) };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
        if capacity >= HUGE_PAGE {
            // Where the system has none to give, small ones do.
            // SAFETY: the advice is about memory of this allocation alone, and changes nothing of its content.
            let _ = unsafe {
                rustix::mm::madvise(
                    start.as_ptr().cast(),
                    capacity / HUGE_PAGE * HUGE_PAGE,
                    rustix::mm::Advice::LinuxHugepage,
                )
            };
        }
        // SAFETY: all of the allocation, which nobody else has yet.
        unsafe { start.as_ptr().write_bytes(0, capacity) };
        AlignedBuffer { start, capacity, length: 0, lender: None }
    }

    /// Memory of somebody else's, in place of memory of its own, until the buffer is dropped.
    ///
    /// # Safety
    /// The `capacity` bytes from `start` are initialized, page-aligned, stay where they are while `lender` lives, and
    /// nobody else touches them before this buffer is dropped.
    pub unsafe fn lent(start: NonNull<u8>, capacity: usize, lender: Lender) -> Self {
        debug_assert!((start.as_ptr() as usize).is_multiple_of(ALIGNMENT), "lent memory is page-aligned");
        AlignedBuffer { start, capacity, length: 0, lender: Some(lender) }
    }

    fn layout(capacity: usize) -> Layout {
        // Advice about huge pages is for whole ones.
        let alignment = if capacity >= HUGE_PAGE { HUGE_PAGE } else { ALIGNMENT };
        Layout::from_size_align(capacity, alignment).expect("capacities are far below isize::MAX")
    }

    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Sets how many bytes are visible; all of the capacity is initialized memory.
    pub fn set_len(&mut self, length: usize) {
        assert!(length <= self.capacity, "length within capacity");
        self.length = length;
    }

    /// The bytes as a cheap shared handle; the memory returns to the pool with the last clone.
    pub fn into_bytes(self) -> bytes::Bytes {
        bytes::Bytes::from_owner(self)
    }
}

impl Deref for AlignedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `length <= capacity`, and the whole capacity was zeroed at allocation.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`; `&mut self` makes the access exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl AsRef<[u8]> for AlignedBuffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for AlignedBuffer {
    fn drop(&mut self) {
        if self.lender.is_some() {
            return;
        }
        let returned = AlignedBuffer { start: self.start, capacity: self.capacity, length: 0, lender: None };
        let class = CLASSES.iter().position(|(size, _)| *size == self.capacity);
        let refused = match class {
            Some(class) => POOL[class].push(returned).err(),
            None => Some(returned),
        };
        if let Some(refused) = refused {
            let refused = std::mem::ManuallyDrop::new(refused);
            // SAFETY: the allocation came from `allocate` with this capacity, and this is its last owner.
            unsafe { dealloc(refused.start.as_ptr(), Self::layout(refused.capacity)) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_page_aligned_and_come_back_from_the_pool() {
        for bytes in [1, 4096, 5000, 1 << 20, 9 << 20] {
            let mut buffer = AlignedBuffer::with_capacity(bytes);
            assert!(buffer.capacity() >= bytes);
            assert_eq!(buffer.start.as_ptr() as usize % ALIGNMENT, 0);
            buffer.set_len(bytes);
            buffer.fill(7);
            assert!(buffer.into_bytes().iter().all(|byte| *byte == 7));
        }
    }

    #[test]
    fn lent_memory_goes_back_to_its_lender_and_not_to_the_pool() {
        let owned = Arc::new(AlignedBuffer::allocate(4096));
        // SAFETY: whole, initialized memory of a buffer that only this lender holds and nobody looks at meanwhile.
        let mut lent = unsafe { AlignedBuffer::lent(owned.start, owned.capacity, owned.clone()) };
        lent.set_len(4096);
        lent.fill(5);
        let bytes = lent.into_bytes();
        assert!(bytes.iter().all(|byte| *byte == 5));
        assert_eq!(Arc::strong_count(&owned), 2);
        drop(bytes);
        assert_eq!(Arc::strong_count(&owned), 1);
    }
}
