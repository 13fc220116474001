//! A future of the C API: something that will be known, and who is to be called then.

use crate::errors::OPERATION_CANCELLED;
use crate::wire::{Answer, Bytes};
use std::ffi::c_void;
use std::sync::{Arc, Mutex, MutexGuard};

pub type Callback = unsafe extern "C" fn(*mut Handle, *mut c_void);

/// What a C pointer to a future points to.
pub struct Handle {
    pub future: Arc<Future>,
    /// What was handed out of the answer; it lives as long as this.
    pub pairs: Mutex<Vec<Pair>>,
}

/// As the C API lays it out.
#[repr(C, packed(4))]
pub struct Pair {
    pub key: *const u8,
    pub key_length: i32,
    pub value: *const u8,
    pub value_length: i32,
}

#[derive(Default)]
pub struct Future {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    answer: Option<Arc<Result<Answer, i32>>>,
    callback: Option<Called>,
}

struct Called {
    callback: Callback,
    handle: *mut Handle,
    argument: *mut c_void,
}

// SAFETY: the two pointers are only handed on to the callback, which the C API lets run on any thread.
unsafe impl Send for Called {}

impl Future {
    pub fn known(answer: Result<Answer, i32>) -> Arc<Self> {
        let future = Future::default();
        future.complete(answer);
        Arc::new(future)
    }

    /// Only the first answer counts.
    pub fn complete(&self, answer: Result<Answer, i32>) {
        let mut state = self.state();
        if state.answer.is_some() {
            return;
        }
        state.answer = Some(Arc::new(answer));
        let called = state.callback.take();
        drop(state);
        if let Some(called) = called {
            called.call();
        }
    }

    pub fn cancel(&self) {
        self.complete(Err(OPERATION_CANCELLED));
    }

    /// # Safety
    ///
    /// The callback may be called with these, once, on any thread.
    pub unsafe fn call(&self, callback: Callback, handle: *mut Handle, argument: *mut c_void) {
        let called = Called { callback, handle, argument };
        let mut state = self.state();
        if state.answer.is_none() {
            state.callback = Some(called);
            return;
        }
        drop(state);
        called.call();
    }

    pub fn answer(&self) -> Option<Arc<Result<Answer, i32>>> {
        self.state().answer.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect(UNPOISONED)
    }
}

impl Called {
    fn call(self) {
        // SAFETY: as whoever has set it has promised; it is taken out of its place, so this is the only call.
        unsafe { (self.callback)(self.handle, self.argument) }
    }
}

impl Handle {
    pub fn of(future: Arc<Future>) -> *mut Handle {
        Box::into_raw(Box::new(Handle { future, pairs: Mutex::default() }))
    }

    /// Pointers into the answer's pairs, which live as long as the handle.
    pub fn lay_out(&self, pairs: &[(Bytes, Bytes)]) -> *const Pair {
        let mut laid_out = self.pairs.lock().expect(UNPOISONED);
        let pair = |(key, value): &(Bytes, Bytes)| Pair {
            key: key.as_ptr(),
            key_length: key.len() as i32,
            value: value.as_ptr(),
            value_length: value.len() as i32,
        };
        *laid_out = pairs.iter().map(pair).collect();
        laid_out.as_ptr()
    }
}

const UNPOISONED: &str = "nobody panics who holds it";
