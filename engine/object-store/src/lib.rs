//! Objects: put once, read by ranges, deleted, listed. Over a local folder with a put path of our own, and over opendal
//! for all else.
//!
//! A program parses a [`StorageUrl`], opens it with [`open`] and may wrap the store: [`LimitedStore`] outside of
//! [`RetryingStore`] outside of [`AdaptiveStore`] outside of [`HedgedStore`] outside of [`CountedStore`] outside of
//! [`FaultyStore`] outside of [`RenewedStore`] outside of what the URL names. Whatever the wrapping, [`contract`] holds.
//! [`StagedStore`] puts a folder of this host before it.
//!
//! Relies on keys from [`naming`]. Never looks inside an object, never overwrites one, never shows a secret.

// In tests a failed unwrap is a failed test, which is what it is for.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod adaptive;
mod budget;
mod chance;
pub mod contract;
mod counted;
mod error;
mod faulty;
mod fs_store;
mod hedged;
mod landing;
mod limited;
pub mod naming;
mod opendal_store;
mod prefixed;
mod renewed;
mod retrying;
mod secrets;
pub mod services;
mod staged;
mod storage_url;
mod store;
mod transport;

pub use adaptive::AdaptiveStore;
pub use counted::{CountedStore, Figures, KindFigures, StoreCounters};
pub use error::{StoreError, StoreResult};
pub use faulty::{FaultyStore, Injected};
pub use fs_store::FsStore;
pub use hedged::HedgedStore;
pub use limited::{LimitedStore, Rates};
pub use opendal_store::OpendalStore;
pub use prefixed::PrefixedStore;
pub use renewed::{Look, RenewedStore};
pub use retrying::RetryingStore;
pub use secrets::{Secrets, variable};
pub use services::open;
pub use staged::{Left, StagedStore};
pub use storage_url::{StorageUrl, UrlError};
pub use store::{BoxFuture, ListedObject, ObjectStore};
