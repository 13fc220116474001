//! Dependencies point one way: `perf, ci -> frontends -> shards -> engine`, and inside the engine only as its table says.
//!
//! Dependencies of tests are arrows too between folders. Inside the engine they're free, so that metadata may be tested
//! on a real store; but the oracle never sees what it judges.

use crate::Finding;
use crate::workspace::{Dependency, Package};

pub fn check(packages: &[Package]) -> Vec<Finding> {
    let mut found = Vec::new();
    for package in packages {
        for dependency in &package.dependencies {
            if let Some(what) = objection(&package.folder, dependency) {
                found.push(Finding { place: format!("{}/Cargo.toml", package.folder), what });
            }
        }
    }
    found
}

fn objection(from: &str, dependency: &Dependency) -> Option<String> {
    let to = dependency.folder.as_str();
    let (from_layer, to_layer) = match (layer(from), layer(to)) {
        (Some(from_layer), Some(to_layer)) => (from_layer, to_layer),
        (None, _) => return Some(format!("{from} lies in no known folder")),
        (_, None) => return Some(format!("{to} lies in no known folder")),
    };
    let same_folder = top(from) == top(to);
    if to_layer > from_layer || (to_layer == TOP_LAYER && !same_folder) {
        return Some(format!("{from} may not use {to}: arrows go perf, ci -> frontends -> shards -> engine"));
    }
    if top(from) == "engine" && !engine_allows(from, dependency) {
        return Some(format!("{from} may not use {to}: the engine's table of arrows does not have it"));
    }
    None
}

fn engine_allows(from: &str, dependency: &Dependency) -> bool {
    let (from, to) = (from.trim_start_matches("engine/"), dependency.folder.trim_start_matches("engine/"));
    if to == "types" {
        return from != "types";
    }
    match from {
        "types" | "oracle" => false,
        _ if dependency.only_tests => true,
        "metadata" => to == "kv" || to == "encryption",
        "metadata-dump" => ["kv", "metadata", "encryption"].contains(&to),
        "file-data" => to == "object-format",
        "object-format" => to == "encryption",
        "kv" | "encryption" | "object-store" => false,
        "kv-remote" => to == "kv",
        // A metadata engine adapts one store to the trait; those on a server share what lies between.
        _ => from.starts_with("kv-") && (to == "kv" || to == "kv-remote"),
    }
}

fn layer(folder: &str) -> Option<usize> {
    match top(folder) {
        "engine" => Some(0),
        "shards" => Some(1),
        "frontends" => Some(2),
        "perf" | "ci" => Some(TOP_LAYER),
        _ => None,
    }
}

fn top(folder: &str) -> &str {
    folder.split('/').next().unwrap_or(folder)
}

const TOP_LAYER: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn objections(from: &str, to: &str, only_tests: bool) -> usize {
        let dependencies = vec![Dependency { folder: to.into(), only_tests }];
        check(&[Package { folder: from.into(), dependencies }]).len()
    }

    #[test]
    fn arrows_down_are_fine_and_arrows_up_are_refused() {
        let layers = ["engine/types", "shards/cache", "frontends/fuse", "ci/crash"];
        for (low, below) in layers.iter().enumerate() {
            for above in &layers[low + 1..] {
                assert_eq!(objections(above, below, false), 0, "{above} uses {below}");
                assert_eq!(objections(below, above, false), 1, "{below} uses {above}");
                assert_eq!(objections(below, above, true), 1, "tests of {below} use {above}");
            }
        }
    }

    #[test]
    fn nobody_knows_perf_or_ci_but_themselves() {
        assert_eq!(objections("perf/harness", "ci/crash", false), 1);
        assert_eq!(objections("ci/crash", "perf/harness", false), 1);
        assert_eq!(objections("ci/crash", "ci/simulator", false), 0);
    }

    #[test]
    fn inside_the_engine_only_the_arrows_of_the_table_exist() {
        for (from, to) in [
            ("kv", "types"),
            ("kv-sqlite", "kv"),
            ("kv-redis", "kv-remote"),
            ("metadata", "kv"),
            ("metadata", "encryption"),
            ("metadata-dump", "metadata"),
            ("object-format", "encryption"),
            ("file-data", "object-format"),
        ] {
            assert_eq!(objections(&format!("engine/{from}"), &format!("engine/{to}"), false), 0, "{from} uses {to}");
        }
        for (from, to) in [
            ("types", "kv"),
            ("metadata", "kv-sqlite"),
            ("metadata-dump", "kv-sqlite"),
            ("metadata", "metadata-dump"),
            ("kv", "kv-sqlite"),
            ("kv-remote", "kv-redis"),
            ("object-store", "kv"),
            ("encryption", "object-format"),
        ] {
            assert_eq!(objections(&format!("engine/{from}"), &format!("engine/{to}"), false), 1, "{from} uses {to}");
        }
    }

    #[test]
    fn engine_tests_may_use_other_engine_crates_but_the_oracle_sees_only_types() {
        assert_eq!(objections("engine/metadata", "engine/kv-sqlite", true), 0);
        assert_eq!(objections("engine/metadata", "engine/oracle", true), 0);
        assert_eq!(objections("engine/oracle", "engine/metadata", true), 1);
        assert_eq!(objections("engine/oracle", "engine/types", false), 0);
    }

    #[test]
    fn a_crate_outside_the_map_is_refused() {
        assert_eq!(objections("extras/thing", "engine/types", false), 1);
        assert_eq!(objections("ci/crash", "extras/thing", false), 1);
    }
}
