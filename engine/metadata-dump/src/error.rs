//! What can go wrong with a dump, by where.

use crate::Difference;
use shoal_kv::KvError;
use shoal_metadata::MetaError;
use std::io;
use thiserror::Error;

#[derive(Debug, Error)]
pub enum DumpError {
    #[error(transparent)]
    Store(#[from] KvError),
    #[error("writing the dump: {0}")]
    Output(#[source] io::Error),
}

#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum LoadError {
    /// Of what is loaded: a dump, or another store.
    #[error("{0}")]
    Source(KvError),
    #[error("{0}")]
    Store(MetaError),
    #[error("it is not empty")]
    NotEmpty,
    /// This load has lost the store to another one.
    #[error("somebody else has taken it over")]
    TakenOver,
    #[error("there is no volume in what is to be loaded")]
    NoVolume,
}

#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum CompareError {
    #[error("{0}")]
    One(KvError),
    #[error("{0}")]
    Other(KvError),
    #[error("{0}")]
    Differ(Difference),
}
