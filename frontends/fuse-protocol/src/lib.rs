//! shoal-fuse-protocol
