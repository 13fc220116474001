//! shoal-object-format
