//! Why an operation failed: the file system refused it, or the store below did.

use shoal_kv::KvError;
use shoal_types::Errno;
use thiserror::Error;

pub type MetaResult<T> = Result<T, MetaError>;

#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum MetaError {
    /// A refusal with nothing changed: the answer to give the program.
    #[error("{0}")]
    Refused(Errno),
    #[error(transparent)]
    Store(KvError),
}

impl MetaError {
    /// The errno a program sees.
    pub fn errno(&self) -> Errno {
        match self {
            MetaError::Refused(errno) => *errno,
            MetaError::Store(error) => error.errno(),
        }
    }
}

impl From<Errno> for MetaError {
    fn from(errno: Errno) -> Self {
        MetaError::Refused(errno)
    }
}

impl From<KvError> for MetaError {
    fn from(error: KvError) -> Self {
        MetaError::Store(error)
    }
}

impl From<MetaError> for Errno {
    fn from(error: MetaError) -> Self {
        error.errno()
    }
}
