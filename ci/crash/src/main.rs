//! The long form: `cargo run --release -p shoal-ci-crash -- --rounds 200`.

use clap::Parser;
use shoal_ci_crash::{Plan, run};

/// Kills a mount's daemon again and again, and checks that nothing acknowledged is missing or wrong
#[derive(Parser)]
struct Arguments {
    #[arg(long, default_value_t = 200)]
    rounds: u32,
    /// The share of requests to the object store that fail
    #[arg(long, default_value_t = 0.0)]
    fault_rate: f64,
    /// Small files wait in the metadata and are packed
    #[arg(long)]
    packs: bool,
    /// The same seed gives the same programs; the moments of death differ all the same
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() {
    let Arguments { rounds, fault_rate, packs, seed } = Arguments::parse();
    run(&Plan { rounds, fault_rate, seed, life_ms_max: if packs { 3000 } else { 1500 }, packs, told: true });
}
