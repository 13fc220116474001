//! What can go wrong below the file system, by what the caller must do about it.

use shoal_types::Errno;
use thiserror::Error;

pub type KvResult<T> = Result<T, KvError>;

#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum KvError {
    /// Another transaction changed what this one read. Engines retry it; callers see it only when the bound is reached.
    #[error("the transaction conflicted with others for too long")]
    Conflict,
    /// The commit may or may not have happened. Never success, never failure.
    #[error("the result of the commit is unknown: {0}")]
    UnknownResult(String),
    #[error("the metadata store is not reachable: {0}")]
    Unavailable(String),
    #[error("the metadata store has no room left: {0}")]
    NoSpace(String),
    #[error("no permission for the metadata store: {0}")]
    Permission(String),
    /// A key, value or transaction beyond `limits`: a bug above.
    #[error("beyond a limit of the metadata store: {0}")]
    Limit(String),
    /// Stored bytes that cannot be what we wrote.
    #[error("damaged metadata: {0}")]
    Damaged(String),
    #[error("metadata store: {0}")]
    Other(String),
}

impl KvError {
    /// The errno a program sees.
    pub fn errno(&self) -> Errno {
        match self {
            KvError::Conflict => Errno::EAGAIN,
            KvError::NoSpace(_) => Errno::ENOSPC,
            KvError::Permission(_) => Errno::EACCES,
            KvError::UnknownResult(_)
            | KvError::Unavailable(_)
            | KvError::Limit(_)
            | KvError::Damaged(_)
            | KvError::Other(_) => Errno::EIO,
        }
    }
}
