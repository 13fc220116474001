//! From opendal's errors to ours.

use crate::{Secrets, StoreError};
use opendal::{Error, ErrorKind};
use std::error::Error as _;
use std::io;

/// Services quote requests and answers in what they say; the secrets are taken out.
pub(super) fn store_error(key: &str, error: &Error, secrets: &Secrets) -> StoreError {
    let told = || secrets.scrub(format!("{key}: {}", with_causes(error)));
    match error.kind() {
        ErrorKind::NotFound => StoreError::NotFound(key.to_string()),
        ErrorKind::AlreadyExists | ErrorKind::ConditionNotMatch => StoreError::Exists(key.to_string()),
        ErrorKind::PermissionDenied => StoreError::Permission(told()),
        _ if is_refused(error) => StoreError::Permission(told()),
        ErrorKind::RangeNotSatisfied => StoreError::Other(format!("{key}: damaged: it is too short: {error}")),
        _ if is_out_of_room(error) => StoreError::NoSpace(told()),
        ErrorKind::RateLimited => StoreError::Unavailable(told()),
        _ if error.is_temporary() || is_unreachable(error) => StoreError::Unavailable(told()),
        _ => StoreError::Other(told()),
    }
}

/// What went wrong in a connection is told by the last of its causes.
fn with_causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let told = error.to_string();
        if !text.contains(&told) {
            text = format!("{text}: {told}");
        }
        cause = error.source();
    }
    text
}

/// What opendal says of a connection by ssh that could not be made; it takes none of them for temporary.
fn is_unreachable(error: &Error) -> bool {
    error.kind() == ErrorKind::Unexpected && error.message() == "ssh error"
}

/// Credentials that the service doesn't know or that have run out, where opendal has no kind for the answer: a plain 401,
/// and what S3 calls 400. It shows the answer in what it says, and nowhere else.
fn is_refused(error: &Error) -> bool {
    let said = || error.to_string();
    error.kind() == ErrorKind::Unexpected
        && ["Parts { status: 401", "ExpiredToken"].iter().any(|sign| said().contains(sign))
}

fn is_out_of_room(error: &Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| matches!(cause.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_cause_is_told_and_no_secret_is() {
        let cause = io::Error::other(io::Error::other("bad certificate, said hush"));
        let error = Error::new(ErrorKind::Unexpected, "send http request").set_source(cause);
        let s3 = crate::services::find("s3").unwrap();
        let secrets = Secrets::parse(s3, "secret_access_key = hush").unwrap();
        let told = store_error("v/1", &error, &secrets).to_string();
        assert!(told.contains("bad certificate, said …") && !told.contains("hush"), "{told}");
    }

    #[test]
    fn kinds_become_what_the_caller_must_do() {
        let map = |error: Error| store_error("v/1", &error, &Secrets::default());
        let of = |kind| Error::new(kind, "said the service");
        assert!(map(of(ErrorKind::NotFound)).is_not_found());
        assert!(matches!(map(of(ErrorKind::ConditionNotMatch)), StoreError::Exists(_)));
        assert!(matches!(map(of(ErrorKind::PermissionDenied)), StoreError::Permission(text) if text.contains("v/1")));
        let unknown = of(ErrorKind::Unexpected).with_context("response", "Parts { status: 401, version: HTTP/1.1 }");
        assert!(matches!(map(unknown), StoreError::Permission(_)));
        assert!(matches!(map(of(ErrorKind::RateLimited)), StoreError::Unavailable(_)));
        assert!(matches!(map(of(ErrorKind::Unexpected).set_temporary()), StoreError::Unavailable(_)));
        assert!(matches!(map(of(ErrorKind::Unexpected)), StoreError::Other(_)));
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert!(matches!(map(of(ErrorKind::Unexpected).set_source(full)), StoreError::NoSpace(_)));
    }
}
