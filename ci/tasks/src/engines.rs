//! Which suites each metadata engine has passed, from the log of a test run: `cargo run -p shoal-ci-tasks -- engines LOG`.
//!
//! An engine that a suite has left out is a finding, unless the suite has nothing to say about it.

use crate::Finding;
use std::collections::BTreeMap;

/// Its name, and how tests call it.
const ENGINES: &[(&str, &str)] = &[
    ("SQLite", "sqlite"),
    ("Redis", "redis"),
    ("Redis Cluster", "redis_cluster"),
    ("PostgreSQL", "postgresql"),
    ("MariaDB", "mariadb"),
    ("FoundationDB (stand-in)", "foundationdb"),
    ("TiKV (protocol on its mock store)", "tikv"),
];

struct Suite {
    title: &'static str,
    /// Test program, test, engine. `*` stands for any engine, as tests call it.
    tests: &'static [(&'static str, &'static str, &'static str)],
    /// Engines that it has nothing to say about.
    without: &'static [&'static str],
}

const SUITES: &[Suite] = &[
    Suite {
        title: "contract",
        tests: &[
            ("*", "the_contract_is_kept", "*"),
            ("shoal_kv_sqlite", "tests::phantoms_are_refused", "sqlite"),
            ("redis_groups", "the_contract_is_kept_on_a_cluster", "redis_cluster"),
            ("postgres", "the_contract_is_kept_and_failures_change_nothing", "postgresql"),
            ("mariadb", "the_contract_is_kept_and_failures_change_nothing", "mariadb"),
        ],
        without: &[],
    },
    Suite {
        title: "oracle",
        tests: &[
            ("oracle", "metadata_agrees_with_the_oracle_on_*", "*"),
            ("oracle", "metadata_agrees_with_the_oracle_on_a_redis_cluster", "redis_cluster"),
        ],
        without: &[],
    },
    Suite {
        title: "one directory",
        tests: &[("hot_directory", "clients_do_not_conflict_in_one_directory_on_*", "*")],
        // It has one writer at a time; and a group of a cluster is a Redis like any.
        without: &["sqlite", "redis_cluster"],
    },
    Suite {
        title: "killed server",
        tests: &[
            ("killed_server", "nothing_acknowledged_is_lost_when_*_or_a_mount_is_killed", "*"),
            ("killed_daemon", "nothing_acknowledged_is_lost_when_the_daemon_is_killed", "sqlite"),
            ("redis_groups", "a_killed_cluster_loses_nothing_that_was_acknowledged", "redis_cluster"),
        ],
        without: &[],
    },
    Suite {
        title: "a tree",
        tests: &[
            ("engines", "*", "*"),
            ("source_trees", "a_source_tree_is_the_same_after_copying_and_after_a_remount", "sqlite"),
        ],
        without: &[],
    },
    Suite {
        title: "two mounts",
        tests: &[("histories", "histories_on_two_mounts_with_*_are_as_on_one", "*")],
        without: &["redis_cluster"],
    },
    Suite { title: "coherence", tests: &[("coherence", "*", "*")], without: &["redis_cluster"] },
    Suite {
        title: "migrate",
        tests: &[
            ("dumps", ALL_PAIRS, "sqlite"),
            ("dumps", ALL_PAIRS, "redis"),
            ("dumps", ALL_PAIRS, "postgresql"),
            ("dumps", ALL_PAIRS, "mariadb"),
            ("dumps", ALL_PAIRS, "foundationdb"),
            ("dumps", ALL_PAIRS, "tikv"),
        ],
        without: &["redis_cluster"],
    },
];

const ALL_PAIRS: &str = "a_tree_is_the_same_after_moves_between_all_pairs_of_engines";

/// The table, and what is missing in it or has failed.
pub fn table(log: &str) -> (String, Vec<Finding>) {
    let results = results(log);
    let mut findings = Vec::new();
    let head = [&["engine"][..], &SUITES.iter().map(|suite| suite.title).collect::<Vec<_>>()].concat();
    let mut rows: Vec<Vec<String>> = vec![head.into_iter().map(str::to_owned).collect()];
    for (name, word) in ENGINES {
        let mut row = vec![(*name).to_owned()];
        for suite in SUITES {
            let cell = suite.outcome(word, &results);
            if !matches!(cell, PASSED | NOT_FOR_IT) {
                findings.push(Finding { place: format!("{name}, {}", suite.title), what: cell.to_owned() });
            }
            row.push(cell.to_owned());
        }
        rows.push(row);
    }
    (in_columns(&rows), findings)
}

const PASSED: &str = "passed";
const FAILED: &str = "failed";
const NOT_RUN: &str = "not run";
const NOT_FOR_IT: &str = "-";

impl Suite {
    fn outcome(&self, engine: &str, results: &BTreeMap<(String, String), bool>) -> &'static str {
        let of_engine = |(program, test, whose): &&(&str, &str, &str)| {
            let test = (program.replace('*', engine), test.replace('*', engine));
            (*whose == "*" || *whose == engine).then(|| results.get(&test)).flatten().copied()
        };
        let found: Vec<bool> = self.tests.iter().filter_map(|test| of_engine(&test)).collect();
        match (&found[..], self.without.contains(&engine)) {
            ([], true) => NOT_FOR_IT,
            ([], false) => NOT_RUN,
            (found, _) if found.iter().all(|passed| *passed) => PASSED,
            _ => FAILED,
        }
    }
}

/// By test program and test, whether it passed.
fn results(log: &str) -> BTreeMap<(String, String), bool> {
    let (mut results, mut program) = (BTreeMap::new(), String::new());
    for line in log.lines() {
        if let Some(running) = line.trim_start().strip_prefix("Running ") {
            // `Running tests/oracle.rs (target/debug/deps/oracle-1f2e3d)`
            let file = running.rsplit_once('/').map_or(running, |(_, file)| file);
            program = file.rsplit_once('-').map_or(file, |(program, _)| program).to_owned();
        } else if let Some((test, result)) = line.strip_prefix("test ").and_then(|test| test.split_once(" ... ")) {
            let passed = match result {
                "ok" => true,
                "FAILED" => false,
                _ => continue,
            };
            results.insert((program.clone(), test.to_owned()), passed);
        }
    }
    results
}

fn in_columns(rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_was_left_out_or_failed_is_told() {
        let log = "\
     Running unittests src/lib.rs (/t/debug/deps/shoal_kv_sqlite-9bd4)
test tests::phantoms_are_refused ... ok
     Running tests/redis.rs (/t/debug/deps/redis-15d6)
test the_contract_is_kept ... ok
     Running tests/oracle.rs (/t/debug/deps/oracle-3632)
test metadata_agrees_with_the_oracle_on_redis has been running for over 60 seconds
test metadata_agrees_with_the_oracle_on_redis ... FAILED
test metadata_agrees_with_the_oracle_on_sqlite ... ok
     Running tests/engines.rs (/t/debug/deps/engines-5f07)
test redis ... ok
";
        let (table, findings) = table(log);
        let line = |name: &str| table.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
        let cells =
            |name: &str| line(name).split("  ").filter(|cell| !cell.is_empty()).map(str::to_owned).collect::<Vec<_>>();
        let row = |row: &[String]| row.iter().map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
        assert_eq!(row(&cells("SQLite"))[1..4], ["passed", "passed", "-"]);
        assert_eq!(row(&cells("Redis "))[1..6], ["passed", "failed", "not run", "not run", "passed"]);
        let told = |place: &str| findings.iter().any(|finding| finding.place == place);
        assert!(told("Redis, oracle") && told("MariaDB, contract") && !told("SQLite, oracle"));
        assert!(!told("SQLite, one directory"));
    }
}
