//! From opendal's errors to ours.

use crate::StoreError;
use opendal::{Error, ErrorKind};
use std::error::Error as _;
use std::io;

pub(super) fn store_error(key: &str, error: &Error) -> StoreError {
    match error.kind() {
        ErrorKind::NotFound => StoreError::NotFound(key.to_string()),
        ErrorKind::AlreadyExists | ErrorKind::ConditionNotMatch => StoreError::Exists(key.to_string()),
        ErrorKind::PermissionDenied => StoreError::Permission(format!("{key}: {error}")),
        ErrorKind::RangeNotSatisfied => StoreError::Other(format!("{key}: damaged: it is too short: {error}")),
        _ if is_out_of_room(error) => StoreError::NoSpace(format!("{key}: {error}")),
        ErrorKind::RateLimited => StoreError::Unavailable(format!("{key}: {error}")),
        _ if error.is_temporary() => StoreError::Unavailable(format!("{key}: {error}")),
        _ => StoreError::Other(format!("{key}: {error}")),
    }
}

fn is_out_of_room(error: &Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| matches!(cause.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_become_what_the_caller_must_do() {
        let map = |error: Error| store_error("v/1", &error);
        let of = |kind| Error::new(kind, "said the service");
        assert!(map(of(ErrorKind::NotFound)).is_not_found());
        assert!(matches!(map(of(ErrorKind::ConditionNotMatch)), StoreError::Exists(_)));
        assert!(matches!(map(of(ErrorKind::PermissionDenied)), StoreError::Permission(text) if text.contains("v/1")));
        assert!(matches!(map(of(ErrorKind::RateLimited)), StoreError::Unavailable(_)));
        assert!(matches!(map(of(ErrorKind::Unexpected).set_temporary()), StoreError::Unavailable(_)));
        assert!(matches!(map(of(ErrorKind::Unexpected)), StoreError::Other(_)));
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert!(matches!(map(of(ErrorKind::Unexpected).set_source(full)), StoreError::NoSpace(_)));
    }
}
