//! shoal-oracle
