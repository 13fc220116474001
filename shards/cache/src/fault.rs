//! Where tests make the cache's disk fail. Without tests nothing is here.

use std::io;

/// What is asked of the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    Open,
    Create,
    List,
    Unlink,
    ReadData,
    WriteData,
    ReadIndex,
    WriteIndex,
}

/// To be asked before each step.
#[cfg(not(test))]
#[inline(always)]
pub(crate) fn check(_: Step) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
pub(crate) use injected::{check, fail};

#[cfg(test)]
mod injected {
    use super::*;
    use rustix::io::Errno;
    use std::cell::RefCell;

    type Fault = Box<dyn FnMut(Step) -> Option<Errno>>;

    thread_local! {
        static FAULT: RefCell<Option<Fault>> = const { RefCell::new(None) };
    }

    /// From now on, on this thread, steps end as `fault` says; until the guard is dropped.
    pub(crate) fn fail(fault: impl FnMut(Step) -> Option<Errno> + 'static) -> Failing {
        FAULT.set(Some(Box::new(fault)));
        Failing(())
    }

    pub(crate) struct Failing(());

    impl Drop for Failing {
        fn drop(&mut self) {
            FAULT.set(None);
        }
    }

    pub(crate) fn check(step: Step) -> io::Result<()> {
        let error = FAULT.with_borrow_mut(|fault| fault.as_mut().and_then(|fault| fault(step)));
        error.map_or(Ok(()), |errno| Err(errno.into()))
    }
}
