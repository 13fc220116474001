//! shoal-actors
