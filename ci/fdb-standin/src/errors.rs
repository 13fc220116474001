//! The error codes of FoundationDB that occur here.

use std::ffi::CStr;

pub const TRANSACTION_TOO_OLD: i32 = 1007;
pub const FUTURE_VERSION: i32 = 1009;
pub const NOT_COMMITTED: i32 = 1020;
pub const COMMIT_UNKNOWN_RESULT: i32 = 1021;
pub const WATCHES_DISABLED: i32 = 1034;
pub const PROCESS_BEHIND: i32 = 1037;
pub const OPERATION_CANCELLED: i32 = 1101;
pub const NO_CLUSTER_FILE_FOUND: i32 = 1515;
pub const CLIENT_INVALID_OPERATION: i32 = 2000;
pub const KEY_OUTSIDE_LEGAL_RANGE: i32 = 2004;
pub const INVALID_OPTION: i32 = 2007;
pub const NETWORK_NOT_SETUP: i32 = 2008;
pub const NETWORK_ALREADY_SETUP: i32 = 2009;
pub const TRANSACTION_TOO_LARGE: i32 = 2101;
pub const KEY_TOO_LARGE: i32 = 2102;
pub const VALUE_TOO_LARGE: i32 = 2103;
pub const CONNECTION_STRING_INVALID: i32 = 2104;
pub const API_VERSION_ALREADY_SET: i32 = 2201;
pub const API_VERSION_NOT_SUPPORTED: i32 = 2203;

pub fn text(code: i32) -> &'static CStr {
    match code {
        0 => c"Success",
        TRANSACTION_TOO_OLD => c"Transaction is too old to perform reads or be committed",
        FUTURE_VERSION => c"Request for future version",
        NOT_COMMITTED => c"Transaction not committed due to conflict with another transaction",
        COMMIT_UNKNOWN_RESULT => c"Transaction may or may not have committed",
        WATCHES_DISABLED => c"Watches cannot be set if read your writes is disabled",
        PROCESS_BEHIND => c"Storage process does not have recent mutations",
        OPERATION_CANCELLED => c"Asynchronous operation cancelled",
        NO_CLUSTER_FILE_FOUND => c"No cluster file found in current directory or default location",
        CONNECTION_STRING_INVALID => c"Connection string invalid",
        KEY_OUTSIDE_LEGAL_RANGE => c"Key outside legal range",
        TRANSACTION_TOO_LARGE => c"Transaction exceeds byte limit",
        KEY_TOO_LARGE => c"Key length exceeds limit",
        VALUE_TOO_LARGE => c"Value length exceeds limit",
        API_VERSION_NOT_SUPPORTED => c"API version not supported",
        _ => c"An error of the stand-in for FoundationDB",
    }
}
