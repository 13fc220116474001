//! Inode and object numbers: leased from the store in ranges, handed out one by one without a transaction.

use crate::local_event::LocalMutex;
use std::cell::RefCell;
use std::future::Future;
use std::ops::Range;

#[derive(Default)]
pub(crate) struct Lease {
    range: RefCell<Range<u64>>,
    refill: LocalMutex,
}

impl Lease {
    /// The next number; when the range is used up, one task fetches a new one by `lease` and the others wait for it.
    pub async fn next<E, Fut>(&self, lease: impl Fn() -> Fut) -> Result<u64, E>
    where
        Fut: Future<Output = Result<Range<u64>, E>>,
    {
        if let Some(number) = self.take() {
            return Ok(number);
        }
        let _guard = self.refill.lock().await;
        loop {
            if let Some(number) = self.take() {
                return Ok(number);
            }
            *self.range.borrow_mut() = lease().await?;
        }
    }

    fn take(&self) -> Option<u64> {
        self.range.borrow_mut().next()
    }
}
