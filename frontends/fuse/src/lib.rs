//! shoal-fuse
