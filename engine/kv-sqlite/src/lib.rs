//! shoal-kv-sqlite
