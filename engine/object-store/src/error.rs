//! What can go wrong with an object store, by what the caller must do about it.

use shoal_types::Errno;
use thiserror::Error;

pub type StoreResult<T> = Result<T, StoreError>;

#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum StoreError {
    #[error("{0}: there is no such object")]
    NotFound(String),
    /// Objects never change: this would have been an overwrite.
    #[error("{0}: there is an object of this name already")]
    Exists(String),
    #[error("no permission for the object store: {0}")]
    Permission(String),
    #[error("the object store has no room left: {0}")]
    NoSpace(String),
    /// Worth another try: a time-out, a refused connection, an overload.
    #[error("the object store does not answer: {0}")]
    Unavailable(String),
    #[error("object store: {0}")]
    Other(String),
}

impl StoreError {
    pub fn is_not_found(&self) -> bool {
        matches!(self, StoreError::NotFound(_))
    }

    /// The errno a program sees.
    pub fn errno(&self) -> Errno {
        match self {
            StoreError::NoSpace(_) => Errno::ENOSPC,
            StoreError::NotFound(_)
            | StoreError::Exists(_)
            | StoreError::Permission(_)
            | StoreError::Unavailable(_)
            | StoreError::Other(_) => Errno::EIO,
        }
    }
}
