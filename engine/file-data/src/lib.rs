//! shoal-file-data
