//! The functions of the C API, version 730, that the engine calls.
//!
//! # Safety
//!
//! As in C: pointers are those that earlier calls gave and that have not been destroyed, or point to as many bytes as the
//! length beside them says.

#![allow(clippy::missing_safety_doc)]

use crate::errors::{
    API_VERSION_ALREADY_SET, API_VERSION_NOT_SUPPORTED, CLIENT_INVALID_OPERATION, CONNECTION_STRING_INVALID,
    INVALID_OPTION, NETWORK_ALREADY_SETUP, NO_CLUSTER_FILE_FOUND, text,
};
use crate::future::{Callback, Handle, Pair};
use crate::mutation::{CLEAR_RANGE, Mutation, SET};
use crate::network::Network;
use crate::transaction::{Database, Transaction};
use crate::wire::{Answer, Bytes};
use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

const VERSION_MAX: c_int = 730;
const EXTERNAL_CLIENT_LIBRARY: c_int = 62;
const CLIENT_THREADS_PER_VERSION: c_int = 65;

unsafe fn bytes(pointer: *const u8, length: c_int) -> Bytes {
    match usize::try_from(length) {
        // SAFETY: see above.
        Ok(length) if length > 0 => unsafe { std::slice::from_raw_parts(pointer, length) }.to_vec(),
        _ => Vec::new(),
    }
}

fn code(result: Result<(), i32>) -> c_int {
    result.err().unwrap_or(0)
}

#[unsafe(no_mangle)]
pub extern "C" fn fdb_select_api_version_impl(version: c_int, header: c_int) -> c_int {
    static SELECTED: AtomicI32 = AtomicI32::new(0);
    match version {
        _ if header > VERSION_MAX || version != VERSION_MAX => API_VERSION_NOT_SUPPORTED,
        _ if SELECTED.swap(version, Ordering::SeqCst) != 0 => API_VERSION_ALREADY_SET,
        _ => 0,
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn fdb_get_max_api_version() -> c_int {
    VERSION_MAX
}

#[unsafe(no_mangle)]
pub extern "C" fn fdb_get_error(code: c_int) -> *const c_char {
    text(code).as_ptr()
}

/// A library of its own for each thread is what the original loads; here one thread does it all, and only what the options
/// demand of each other is looked at.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_network_set_option(option: c_int, value: *const u8, length: c_int) -> c_int {
    static LIBRARY_NAMED: AtomicBool = AtomicBool::new(false);
    // SAFETY: see above.
    let value = unsafe { bytes(value, length) };
    match option {
        EXTERNAL_CLIENT_LIBRARY if Path::new(OsStr::from_bytes(&value)).is_file() => {
            LIBRARY_NAMED.store(true, Ordering::SeqCst);
            0
        }
        CLIENT_THREADS_PER_VERSION if value.len() == 8 && LIBRARY_NAMED.load(Ordering::SeqCst) => 0,
        _ => INVALID_OPTION,
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn fdb_setup_network() -> c_int {
    if Network::set_up() { 0 } else { NETWORK_ALREADY_SETUP }
}

#[unsafe(no_mangle)]
pub extern "C" fn fdb_run_network() -> c_int {
    code(Network::run())
}

#[unsafe(no_mangle)]
pub extern "C" fn fdb_stop_network() -> c_int {
    code(Network::stop())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_create_database(cluster_file: *const c_char, out: *mut *mut Arc<Database>) -> c_int {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    // SAFETY: see above.
    let path = unsafe { CStr::from_ptr(cluster_file) };
    match server_of(Path::new(OsStr::from_bytes(path.to_bytes()))) {
        Ok(server) => {
            let database = Database { number: NEXT.fetch_add(1, Ordering::Relaxed), server };
            // SAFETY: see above.
            unsafe { *out = Box::into_raw(Box::new(Arc::new(database))) };
            0
        }
        Err(code) => code,
    }
}

/// `DESCRIPTION:ID@ADDRESS:PORT[,…]`: the first of the addresses.
fn server_of(cluster_file: &Path) -> Result<SocketAddr, i32> {
    let text = std::fs::read_to_string(cluster_file).map_err(|_| NO_CLUSTER_FILE_FOUND)?;
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    let (name, servers) = line.and_then(|line| line.split_once('@')).ok_or(CONNECTION_STRING_INVALID)?;
    let first = servers.split(',').next().unwrap_or_default();
    match name.contains(':') {
        true => first.parse().map_err(|_| CONNECTION_STRING_INVALID),
        false => Err(CONNECTION_STRING_INVALID),
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_database_destroy(database: *mut Arc<Database>) {
    // SAFETY: see above.
    drop(unsafe { Box::from_raw(database) });
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_database_create_transaction(
    database: *mut Arc<Database>,
    out: *mut *mut Transaction,
) -> c_int {
    // SAFETY: see above.
    unsafe { *out = Box::into_raw(Box::new(Transaction::new((*database).clone()))) };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_transaction_destroy(transaction: *mut Transaction) {
    // SAFETY: see above.
    drop(unsafe { Box::from_raw(transaction) });
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_transaction_set_option(
    transaction: *mut Transaction,
    option: c_int,
    _value: *const u8,
    _value_length: c_int,
) -> c_int {
    // SAFETY: see above.
    unsafe { code((*transaction).set_option(option)) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_transaction_get_read_version(transaction: *mut Transaction) -> *mut Handle {
    // SAFETY: see above.
    unsafe { Handle::of((*transaction).read_version()) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_transaction_get(
    transaction: *mut Transaction,
    key: *const u8,
    key_length: c_int,
    snapshot: c_int,
) -> *mut Handle {
    // SAFETY: see above.
    unsafe { Handle::of((*transaction).get(bytes(key, key_length), snapshot != 0)) }
}

/// Of the selectors only "first greater or equal" is known, and of the modes what they have in common.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_transaction_get_range(
    transaction: *mut Transaction,
    begin: *const u8,
    begin_length: c_int,
    begin_or_equal: c_int,
    begin_offset: c_int,
    end: *const u8,
    end_length: c_int,
    end_or_equal: c_int,
    end_offset: c_int,
    limit: c_int,
    _target_bytes: c_int,
    _mode: c_int,
    _iteration: c_int,
    snapshot: c_int,
    reverse: c_int,
) -> *mut Handle {
    if (begin_or_equal, begin_offset, end_or_equal, end_offset) != (0, 1, 0, 1) {
        return Handle::of(crate::future::Future::known(Err(CLIENT_INVALID_OPERATION)));
    }
    let limit = if limit <= 0 { u32::MAX } else { limit as u32 };
    // SAFETY: see above.
    unsafe {
        let range = (bytes(begin, begin_length), bytes(end, end_length));
        Handle::of((*transaction).get_range(range, limit, reverse != 0, snapshot != 0))
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_transaction_set(
    transaction: *mut Transaction,
    key: *const u8,
    key_length: c_int,
    value: *const u8,
    value_length: c_int,
) {
    // SAFETY: see above.
    unsafe {
        let (key, operand) = (bytes(key, key_length), bytes(value, value_length));
        (*transaction).mutate(Mutation { kind: SET, key, operand });
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_transaction_clear_range(
    transaction: *mut Transaction,
    begin: *const u8,
    begin_length: c_int,
    end: *const u8,
    end_length: c_int,
) {
    // SAFETY: see above.
    unsafe {
        let (key, operand) = (bytes(begin, begin_length), bytes(end, end_length));
        (*transaction).mutate(Mutation { kind: CLEAR_RANGE, key, operand });
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_transaction_atomic_op(
    transaction: *mut Transaction,
    key: *const u8,
    key_length: c_int,
    operand: *const u8,
    operand_length: c_int,
    kind: c_int,
) {
    // SAFETY: see above.
    unsafe {
        let (key, operand) = (bytes(key, key_length), bytes(operand, operand_length));
        // One that there is none of fails the commit.
        (*transaction).mutate(Mutation { kind: u8::try_from(kind).unwrap_or(u8::MAX), key, operand });
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_transaction_add_conflict_range(
    transaction: *mut Transaction,
    begin: *const u8,
    begin_length: c_int,
    end: *const u8,
    end_length: c_int,
    kind: c_int,
) -> c_int {
    // SAFETY: see above.
    unsafe {
        let range = (bytes(begin, begin_length), bytes(end, end_length));
        (*transaction).add_conflict_range(range, kind == 1);
    }
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_transaction_watch(
    transaction: *mut Transaction,
    key: *const u8,
    key_length: c_int,
) -> *mut Handle {
    // SAFETY: see above.
    unsafe { Handle::of((*transaction).watch(bytes(key, key_length))) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_transaction_commit(transaction: *mut Transaction) -> *mut Handle {
    // SAFETY: see above.
    unsafe { Handle::of((*transaction).commit()) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_future_cancel(handle: *mut Handle) {
    // SAFETY: see above.
    unsafe { (*handle).future.cancel() }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_future_destroy(handle: *mut Handle) {
    // SAFETY: see above.
    let handle = unsafe { Box::from_raw(handle) };
    handle.future.cancel();
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_future_set_callback(
    handle: *mut Handle,
    callback: Callback,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: see above.
    unsafe { (*handle).future.call(callback, handle, argument) };
    0
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_future_get_error(handle: *mut Handle) -> c_int {
    // SAFETY: see above.
    match unsafe { (*handle).future.answer() }.as_deref() {
        Some(Ok(_)) => 0,
        Some(Err(code)) => *code,
        None => CLIENT_INVALID_OPERATION,
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_future_get_int64(handle: *mut Handle, out: *mut i64) -> c_int {
    // SAFETY: see above.
    match unsafe { (*handle).future.answer() }.as_deref() {
        Some(Ok(Answer::Version { version, .. })) => {
            // SAFETY: see above.
            unsafe { *out = *version };
            0
        }
        Some(Err(code)) => *code,
        _ => CLIENT_INVALID_OPERATION,
    }
}

/// What is pointed to lives as long as the future: nothing replaces its answer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_future_get_value(
    handle: *mut Handle,
    out_present: *mut c_int,
    out_value: *mut *const u8,
    out_length: *mut c_int,
) -> c_int {
    // SAFETY: see above.
    match unsafe { (*handle).future.answer() }.as_deref() {
        Some(Ok(Answer::Value(value))) => {
            let there = value.as_deref().unwrap_or_default();
            // SAFETY: see above.
            unsafe {
                *out_present = c_int::from(value.is_some());
                *out_value = there.as_ptr();
                *out_length = there.len() as c_int;
            }
            0
        }
        Some(Err(code)) => *code,
        _ => CLIENT_INVALID_OPERATION,
    }
}

/// As for a value.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdb_future_get_keyvalue_array(
    handle: *mut Handle,
    out_pairs: *mut *const Pair,
    out_count: *mut c_int,
    out_more: *mut c_int,
) -> c_int {
    // SAFETY: see above.
    match unsafe { (*handle).future.answer() }.as_deref() {
        Some(Ok(Answer::Pairs { pairs, more })) => {
            // SAFETY: see above.
            unsafe {
                *out_pairs = (*handle).lay_out(pairs);
                *out_count = pairs.len() as c_int;
                *out_more = c_int::from(*more);
            }
            0
        }
        Some(Err(code)) => *code,
        _ => CLIENT_INVALID_OPERATION,
    }
}
