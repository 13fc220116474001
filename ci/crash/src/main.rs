//! The long form: `cargo run --release -p shoal-ci-crash -- --rounds 200`.

use clap::{Parser, ValueEnum};
use shoal_ci_crash::{Plan, ServerPlan, run, run_on_server};
use shoal_ci_servers::{FoundationDb, Mariadb, Postgres, Redis, Tikv};

/// Kills a mount's daemon again and again, and checks that nothing acknowledged is missing or wrong
#[derive(Parser)]
struct Arguments {
    #[arg(long, default_value_t = 200)]
    rounds: u32,
    /// The share of requests to the object store that fail
    #[arg(long, default_value_t = 0.0, conflicts_with = "server")]
    fault_rate: f64,
    /// Small files wait in the metadata and are packed
    #[arg(long, conflicts_with = "server")]
    packs: bool,
    /// Metadata on a server and two mounts, of which one dies in each round: a mount or the server
    #[arg(long)]
    server: Option<MetadataServer>,
    /// The same seed gives the same programs; the moments of death differ all the same
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum MetadataServer {
    Redis,
    Postgresql,
    Mariadb,
    /// Our stand-in for it, unless FDB_CLUSTER_FILE names a cluster, which is not killed
    Foundationdb,
    /// Its protocol on its mock store
    Tikv,
}

fn main() {
    let Arguments { rounds, fault_rate, packs, server, seed } = Arguments::parse();
    let on_server = ServerPlan { rounds, seed, told: true };
    match server {
        Some(MetadataServer::Redis) => run_on_server(&on_server, Redis::default()),
        Some(MetadataServer::Postgresql) => run_on_server(&on_server, Postgres),
        Some(MetadataServer::Mariadb) => run_on_server(&on_server, Mariadb),
        Some(MetadataServer::Foundationdb) => run_on_server(&on_server, FoundationDb::default()),
        Some(MetadataServer::Tikv) => run_on_server(&on_server, Tikv::default()),
        None => {
            run(&Plan { rounds, fault_rate, seed, life_ms_max: if packs { 3000 } else { 1500 }, packs, told: true })
        }
    }
}
