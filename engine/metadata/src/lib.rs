//! shoal-metadata
