//! shoal-object-store
