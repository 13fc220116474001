//! FoundationDB's C API, version 7.3, as safe types; the only unsafe code of this crate. The library is loaded once a process
//! and stays: its network runs on a thread of ours until the process ends.
//!
//! # Invariants
//!
//! * The signatures below are those of `fdb_c.h` for API version 730, which the library confirms before anything else is
//!   called. Pointers it gives are owned by exactly one value of ours, which destroys them once.
//! * Databases, transactions and futures may be used from any thread, as the C API promises; hence `Send` and `Sync`.
//! * What a future's answer points to lives until the future is destroyed. It's copied before that.
//! * The library calls a callback once at most, on any thread, at the latest when the future is cancelled. What is given to
//!   it is a count of [`Done`], which it gives back; were it never called, that memory would stay.

use crate::error::Code;
use libloading::Library;
use shoal_kv::Pair;
use std::error::Error;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const API_VERSION: c_int = 730;

type RawDatabase = c_void;
type RawTransaction = c_void;
type RawFuture = c_void;
type Callback = extern "C" fn(*mut RawFuture, *mut c_void);

#[repr(C, packed(4))]
struct RawPair {
    key: *const u8,
    key_length: c_int,
    value: *const u8,
    value_length: c_int,
}

macro_rules! functions {
    ($($name:ident($($argument:ty),*) $(-> $result:ty)?;)*) => {
        #[allow(clippy::type_complexity)]
        struct Functions {
            $($name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
        }

        impl Functions {
            /// # Safety
            ///
            /// The library must be one of FoundationDB's client, and stay loaded.
            unsafe fn find(library: &Library) -> Result<Self, libloading::Error> {
                // SAFETY: the types are those of the header.
                unsafe { Ok(Functions { $($name: *library.get(stringify!($name))?,)* }) }
            }
        }
    };
}

functions! {
    fdb_select_api_version_impl(c_int, c_int) -> c_int;
    fdb_get_max_api_version() -> c_int;
    fdb_get_error(c_int) -> *const c_char;
    fdb_network_set_option(c_int, *const u8, c_int) -> c_int;
    fdb_setup_network() -> c_int;
    fdb_run_network() -> c_int;
    fdb_stop_network() -> c_int;
    fdb_create_database(*const c_char, *mut *mut RawDatabase) -> c_int;
    fdb_database_destroy(*mut RawDatabase);
    fdb_database_create_transaction(*mut RawDatabase, *mut *mut RawTransaction) -> c_int;
    fdb_transaction_destroy(*mut RawTransaction);
    fdb_transaction_set_option(*mut RawTransaction, c_int, *const u8, c_int) -> c_int;
    fdb_transaction_get_read_version(*mut RawTransaction) -> *mut RawFuture;
    fdb_transaction_get(*mut RawTransaction, *const u8, c_int, c_int) -> *mut RawFuture;
    fdb_transaction_get_range(
        *mut RawTransaction, *const u8, c_int, c_int, c_int, *const u8, c_int, c_int, c_int,
        c_int, c_int, c_int, c_int, c_int, c_int
    ) -> *mut RawFuture;
    fdb_transaction_set(*mut RawTransaction, *const u8, c_int, *const u8, c_int);
    fdb_transaction_clear_range(*mut RawTransaction, *const u8, c_int, *const u8, c_int);
    fdb_transaction_atomic_op(*mut RawTransaction, *const u8, c_int, *const u8, c_int, c_int);
    fdb_transaction_add_conflict_range(*mut RawTransaction, *const u8, c_int, *const u8, c_int, c_int) -> c_int;
    fdb_transaction_watch(*mut RawTransaction, *const u8, c_int) -> *mut RawFuture;
    fdb_transaction_commit(*mut RawTransaction) -> *mut RawFuture;
    fdb_future_cancel(*mut RawFuture);
    fdb_future_destroy(*mut RawFuture);
    fdb_future_set_callback(*mut RawFuture, Callback, *mut c_void) -> c_int;
    fdb_future_get_error(*mut RawFuture) -> c_int;
    fdb_future_get_int64(*mut RawFuture, *mut i64) -> c_int;
    fdb_future_get_value(*mut RawFuture, *mut c_int, *mut *const u8, *mut c_int) -> c_int;
    fdb_future_get_keyvalue_array(*mut RawFuture, *mut *const RawPair, *mut c_int, *mut c_int) -> c_int;
}

/// The loaded library with its network running.
pub struct Client {
    functions: Functions,
    path: CString,
    network: Mutex<Option<JoinHandle<()>>>,
}

static CLIENT: OnceLock<&Client> = OnceLock::new();
/// Held while it's loaded, so that it's done once; a library that can't be had is looked for again.
static LOADING: Mutex<()> = Mutex::new(());

impl Client {
    /// The process's one client, from this library; else why there is none. To be called by a daemon when it is one: the
    /// network's thread does not survive a fork. Whoever comes first decides how many threads the library works with; for
    /// more than one the path must be a full one.
    pub fn get(path: &Path, threads: usize) -> Result<&'static Client, String> {
        let name = CString::new(path.as_os_str().as_bytes()).map_err(|_| "its path holds a zero byte".to_string())?;
        let _loading = LOADING.lock().expect(UNPOISONED);
        if let Some(client) = CLIENT.get() {
            return match client.path == name {
                true => Ok(client),
                false => Err(format!("this process uses {} already", client.path.to_string_lossy())),
            };
        }
        let client: &'static Client = Box::leak(Box::new(Client::load(path, name)?));
        client.start(threads)?;
        Ok(CLIENT.get_or_init(|| client))
    }

    fn load(path: &Path, name: CString) -> Result<Client, String> {
        // SAFETY: what a library does when it's loaded, it does at its user's word.
        let library = unsafe { Library::new(path) }.map_err(|error| whole(&error))?;
        // For as long as the process lives: its network can't be started a second time.
        let library: &'static Library = Box::leak(Box::new(library));
        // SAFETY: it stays loaded, and says next whether it is what we take it for.
        let functions = unsafe { Functions::find(library) }.map_err(|error| whole(&error))?;
        // SAFETY: the first calls, as the API has it.
        let (selected, newest) = unsafe {
            ((functions.fdb_select_api_version_impl)(API_VERSION, API_VERSION), (functions.fdb_get_max_api_version)())
        };
        match selected {
            0 => Ok(Client { functions, path: name, network: Mutex::new(None) }),
            _ if newest < API_VERSION => {
                Err(format!("it knows the API up to version {newest}, and 730 (7.3) is needed"))
            }
            code => Err(format!("it refuses version 730 of its API (error {code})")),
        }
    }

    fn start(&'static self, threads: usize) -> Result<(), String> {
        let failed = |code| format!("its network does not start: {}", self.text(code));
        if threads > 1 {
            // The library loads copies of itself, one for each thread.
            self.set_option(EXTERNAL_CLIENT_LIBRARY, self.path.as_bytes()).map_err(failed)?;
            self.set_option(CLIENT_THREADS_PER_VERSION, &(threads as u64).to_le_bytes()).map_err(failed)?;
        }
        // SAFETY: once, after the version was selected.
        check(unsafe { (self.functions.fdb_setup_network)() }).map_err(failed)?;
        let run = || {
            // SAFETY: once, on a thread of its own; it returns when it's stopped. Its end is the process's.
            let _ = unsafe { (self.functions.fdb_run_network)() };
        };
        let network = thread::Builder::new().name("fdb-network".into()).spawn(run);
        *self.network.lock().expect(UNPOISONED) = Some(network.map_err(|error| format!("starting a thread: {error}"))?);
        // SAFETY: the function does not unwind.
        if unsafe { libc::atexit(stop_network) } != 0 {
            return Err("the end of the process can't be prepared".into());
        }
        Ok(())
    }

    fn set_option(&self, option: c_int, value: &[u8]) -> Result<(), Code> {
        let (value, length) = parts(value);
        // SAFETY: before the network is set up; the value is copied.
        check(unsafe { (self.functions.fdb_network_set_option)(option, value, length) })
    }

    pub fn text(&self, code: Code) -> String {
        // SAFETY: the texts are constants of the library.
        let text = unsafe { CStr::from_ptr((self.functions.fdb_get_error)(code.0)) };
        format!("{} ({})", text.to_string_lossy(), code.0)
    }

    /// One whose transactions the library works on with so many of its threads.
    pub fn database(&'static self, cluster_file: &Path, threads: usize) -> Result<Database, Code> {
        let path = CString::new(cluster_file.as_os_str().as_bytes()).map_err(|_| Code::NO_CLUSTER_FILE)?;
        let mut database = Database { client: self, handles: Vec::new(), next: AtomicUsize::new(0) };
        for _ in 0..threads.max(1) {
            let mut raw = ptr::null_mut();
            // SAFETY: both pointers are good for the call.
            check(unsafe { (self.functions.fdb_create_database)(path.as_ptr(), &mut raw) })?;
            database.handles.push(raw);
        }
        Ok(database)
    }
}

/// Before the library's own end: its network must not run by then.
extern "C" fn stop_network() {
    let Some(client) = CLIENT.get() else { return };
    // SAFETY: its network was set up.
    unsafe { (client.functions.fdb_stop_network)() };
    if let Some(network) = client.network.lock().ok().and_then(|mut network| network.take()) {
        // Nothing is left to do about a panic of it.
        let _ = network.join();
    }
}

/// With the system's own words, which say what is missing.
fn whole(error: &libloading::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

fn check(code: c_int) -> Result<(), Code> {
    match code {
        0 => Ok(()),
        code => Err(Code(code)),
    }
}

pub struct Database {
    client: &'static Client,
    /// Each is served by one of the library's threads; at least one.
    handles: Vec<*mut RawDatabase>,
    next: AtomicUsize,
}

// SAFETY: see the invariants.
unsafe impl Send for Database {}
// SAFETY: see the invariants.
unsafe impl Sync for Database {}

impl Database {
    pub fn client(&self) -> &'static Client {
        self.client
    }

    /// Its reads don't see its writes.
    pub fn transaction(&self) -> Result<Transaction, Code> {
        let transaction = self.watching_transaction()?;
        let set = self.client.functions.fdb_transaction_set_option;
        // SAFETY: an option without a value.
        check(unsafe { set(transaction.raw, READ_YOUR_WRITES_DISABLE, ptr::null(), 0) })?;
        Ok(transaction)
    }

    /// One that can set watches, which the library refuses to the other kind.
    pub fn watching_transaction(&self) -> Result<Transaction, Code> {
        let handle = self.handles[self.next.fetch_add(1, Ordering::Relaxed) % self.handles.len()];
        let mut raw = ptr::null_mut();
        // SAFETY: the database lives, and the pointer is good for the call.
        check(unsafe { (self.client.functions.fdb_database_create_transaction)(handle, &mut raw) })?;
        Ok(Transaction { client: self.client, raw })
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        for handle in &self.handles {
            // SAFETY: the one owner.
            unsafe { (self.client.functions.fdb_database_destroy)(*handle) }
        }
    }
}

pub struct Transaction {
    client: &'static Client,
    raw: *mut RawTransaction,
}

// SAFETY: see the invariants.
unsafe impl Send for Transaction {}
// SAFETY: see the invariants.
unsafe impl Sync for Transaction {}

/// Atomic operations, by their numbers.
#[derive(Clone, Copy)]
pub enum Operation {
    Add = 2,
    AppendIfFits = 9,
    Max = 12,
    SetVersionstampedKey = 14,
    SetVersionstampedValue = 15,
}

#[derive(Clone, Copy)]
pub enum Conflicts {
    Read = 0,
    Write = 1,
}

impl Transaction {
    pub fn read_version(&self) -> Future {
        // SAFETY: the transaction lives.
        self.future(unsafe { (self.client.functions.fdb_transaction_get_read_version)(self.raw) })
    }

    /// Adds no conflict.
    pub fn get(&self, key: &[u8]) -> Future {
        let (start, length) = parts(key);
        // SAFETY: the transaction lives; the key is copied.
        self.future(unsafe { (self.client.functions.fdb_transaction_get)(self.raw, start, length, TRUE) })
    }

    /// One batch. Adds no conflict.
    pub fn get_range(&self, start: &[u8], end: &[u8], limit: usize, backward: bool) -> Future {
        let ((start, start_length), (end, end_length)) = (parts(start), parts(end));
        let limit = c_int::try_from(limit).unwrap_or(c_int::MAX);
        let (mode, backward) = (WANT_ALL, c_int::from(backward));
        // Both ends as "first key greater or equal": not or-equal, with an offset of 1.
        // SAFETY: the transaction lives; the keys are copied.
        self.future(unsafe {
            (self.client.functions.fdb_transaction_get_range)(
                self.raw,
                start,
                start_length,
                FALSE,
                1,
                end,
                end_length,
                FALSE,
                1,
                limit,
                0,
                mode,
                1,
                TRUE,
                backward,
            )
        })
    }

    pub fn set(&self, key: &[u8], value: &[u8]) {
        let ((key, key_length), (value, value_length)) = (parts(key), parts(value));
        // SAFETY: the transaction lives; both are copied.
        unsafe { (self.client.functions.fdb_transaction_set)(self.raw, key, key_length, value, value_length) }
    }

    pub fn clear_range(&self, start: &[u8], end: &[u8]) {
        let ((start, start_length), (end, end_length)) = (parts(start), parts(end));
        // SAFETY: the transaction lives; both are copied.
        unsafe { (self.client.functions.fdb_transaction_clear_range)(self.raw, start, start_length, end, end_length) }
    }

    pub fn clear(&self, key: &[u8]) {
        self.clear_range(key, &[key, &[0]].concat());
    }

    pub fn apply(&self, operation: Operation, key: &[u8], operand: &[u8]) {
        let ((key, key_length), (operand, length)) = (parts(key), parts(operand));
        let apply = self.client.functions.fdb_transaction_atomic_op;
        // SAFETY: the transaction lives; both are copied.
        unsafe { apply(self.raw, key, key_length, operand, length, operation as c_int) }
    }

    pub fn add_conflicts(&self, kind: Conflicts, start: &[u8], end: &[u8]) -> Result<(), Code> {
        let ((start, start_length), (end, end_length)) = (parts(start), parts(end));
        let add = self.client.functions.fdb_transaction_add_conflict_range;
        // SAFETY: the transaction lives; both are copied.
        check(unsafe { add(self.raw, start, start_length, end, end_length, kind as c_int) })
    }

    pub fn add_conflict(&self, kind: Conflicts, key: &[u8]) -> Result<(), Code> {
        self.add_conflicts(kind, key, &[key, &[0]].concat())
    }

    /// To be known once the transaction has committed and the value has changed since its version.
    pub fn watch(&self, key: &[u8]) -> Future {
        let (key, length) = parts(key);
        // SAFETY: the transaction lives; the key is copied.
        self.future(unsafe { (self.client.functions.fdb_transaction_watch)(self.raw, key, length) })
    }

    /// Nothing else may be done with the transaction but to drop it.
    pub fn commit(&self) -> Future {
        // SAFETY: the transaction lives.
        self.future(unsafe { (self.client.functions.fdb_transaction_commit)(self.raw) })
    }

    fn future(&self, raw: *mut RawFuture) -> Future {
        let done = Arc::new(Done::default());
        let called = Arc::into_raw(done.clone()).cast_mut().cast();
        // SAFETY: the future was just made; what the callback is given is a count of its own.
        let set = unsafe { (self.client.functions.fdb_future_set_callback)(raw, tell, called) };
        assert_eq!(set, 0, "a fresh future takes a callback");
        Future { client: self.client, raw, done }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        // SAFETY: the one owner.
        unsafe { (self.client.functions.fdb_transaction_destroy)(self.raw) }
    }
}

/// What the library will know. Dropped, it's cancelled.
pub struct Future {
    client: &'static Client,
    raw: *mut RawFuture,
    done: Arc<Done>,
}

// SAFETY: see the invariants.
unsafe impl Send for Future {}

#[derive(Default)]
struct Done {
    known: Mutex<bool>,
    changed: Condvar,
}

extern "C" fn tell(_: *mut RawFuture, done: *mut c_void) {
    // SAFETY: the count that was given when the callback was set; it's called once.
    let done = unsafe { Arc::from_raw(done.cast::<Done>()) };
    // A poisoned lock can only mean that a waiter has panicked, who no longer waits.
    if let Ok(mut known) = done.known.lock() {
        *known = true;
    }
    done.changed.notify_all();
}

impl Future {
    /// `false`: it's not known by then.
    pub fn wait(&self, time_max: Duration) -> bool {
        let deadline = Instant::now() + time_max;
        let mut known = self.done.known.lock().expect(UNPOISONED);
        while !*known {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            known = self.done.changed.wait_timeout(known, left).expect(UNPOISONED).0;
        }
        true
    }

    /// Whether it went well, once it's known.
    pub fn result(&self) -> Result<(), Code> {
        // SAFETY: the future lives.
        check(unsafe { (self.client.functions.fdb_future_get_error)(self.raw) })
    }

    pub fn version(&self) -> Result<i64, Code> {
        let mut version = 0;
        // SAFETY: the future lives, and the pointer is good for the call.
        check(unsafe { (self.client.functions.fdb_future_get_int64)(self.raw, &mut version) })?;
        Ok(version)
    }

    pub fn value(&self) -> Result<Option<Vec<u8>>, Code> {
        let (mut there, mut value, mut length) = (0, ptr::null(), 0);
        let get = self.client.functions.fdb_future_get_value;
        // SAFETY: the future lives, and the pointers are good for the call.
        check(unsafe { get(self.raw, &mut there, &mut value, &mut length) })?;
        // SAFETY: it lives as long as the future.
        Ok((there != 0).then(|| unsafe { bytes(value, length) }))
    }

    /// The pairs of a batch, and whether there are more in the range or the limit was reached.
    pub fn pairs(&self) -> Result<(Vec<Pair>, bool), Code> {
        let (mut pairs, mut count, mut more) = (ptr::null(), 0, 0);
        let get = self.client.functions.fdb_future_get_keyvalue_array;
        // SAFETY: the future lives, and the pointers are good for the call.
        check(unsafe { get(self.raw, &mut pairs, &mut count, &mut more) })?;
        let pair = |index: usize| {
            // SAFETY: there are `count` of them, and they and what they point to live as long as the future. They may
            // lie at any place.
            unsafe {
                let RawPair { key, key_length, value, value_length } = ptr::read_unaligned(pairs.add(index));
                (bytes(key, key_length), bytes(value, value_length))
            }
        };
        Ok(((0..usize::try_from(count).unwrap_or(0)).map(pair).collect(), more != 0))
    }
}

impl Drop for Future {
    fn drop(&mut self) {
        // SAFETY: the one owner. Cancelled first, so that its callback is called now if it has not been.
        unsafe {
            (self.client.functions.fdb_future_cancel)(self.raw);
            (self.client.functions.fdb_future_destroy)(self.raw);
        }
    }
}

fn parts(bytes: &[u8]) -> (*const u8, c_int) {
    (bytes.as_ptr(), c_int::try_from(bytes.len()).expect("keys and values have a limit"))
}

/// # Safety
///
/// So many bytes must lie there.
unsafe fn bytes(start: *const u8, length: c_int) -> Vec<u8> {
    match usize::try_from(length) {
        // SAFETY: the caller's word.
        Ok(length) if length > 0 => unsafe { std::slice::from_raw_parts(start, length) }.to_vec(),
        _ => Vec::new(),
    }
}

const FALSE: c_int = 0;
const TRUE: c_int = 1;
const EXTERNAL_CLIENT_LIBRARY: c_int = 62;
const CLIENT_THREADS_PER_VERSION: c_int = 65;
const READ_YOUR_WRITES_DISABLE: c_int = 51;
const WANT_ALL: c_int = -2;
const UNPOISONED: &str = "nobody panics who holds it";
