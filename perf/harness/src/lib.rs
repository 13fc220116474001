//! shoal-perf
