//! shoal-cache
