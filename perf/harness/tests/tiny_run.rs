//! The harness in tiny form on a plain folder: everything but fio and the mounts, and no opinion on speed.

// In tests a failed unwrap is a failed test, which is what it is for.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use shoal_perf::arguments::{Arguments, TargetKind};
use shoal_perf::targets::Ground;
use shoal_perf::{host, report, run, table, workloads};

#[test]
fn a_tiny_metadata_run_fills_table_json_and_plot() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["run", "--targets", "plain", "--rounds", "2", "--files", "10", "--threads", "1,3"];
    let settings = <Arguments as clap::Parser>::parse_from(arguments).settings();
    assert_eq!(settings.targets, [TargetKind::Plain]);
    let ground = Ground {
        disk: folder.path().to_path_buf(),
        memory: folder.path().to_path_buf(),
        binaries: folder.path().to_path_buf(),
        cache_bytes: 1 << 20,
        store: None,
        metadata: None,
    };
    let chosen = workloads::all().into_iter().filter(|workload| workload.name() == "metadata").collect();
    let results = run::run(chosen, &settings, &ground).unwrap();

    assert_eq!(results.failures, Vec::<String>::new());
    // Five phases, two layouts, two numbers of threads; a sample for each round.
    assert_eq!(results.series.len(), 20);
    assert!(results.series.iter().all(|series| series.samples.len() == 2 && series.targets() == ["plain"]));
    assert!(results.series.iter().flat_map(|series| &series.samples).all(|sample| sample.value > 0.0));
    assert!(!results.meets_all_floors(), "floors that were not measured are not met");
    let text = table::table(&results, settings.rounds);
    assert!(text.contains("metadata/create/shared-3"), "{text}");

    let out = folder.path().join("out/results.json");
    let host = host::facts(folder.path()).unwrap();
    let plot = report::write(&out, &host, &settings, &results).unwrap();
    let json: Value = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
    assert_eq!(json["format"], 1);
    assert_eq!(json["host"]["cores"], host.cores);
    assert_eq!(json["results"]["series"].as_array().unwrap().len(), 20);
    assert!(json["summary"][0]["targets"]["plain"]["median"].as_f64().unwrap() > 0.0);
    let svg = std::fs::read_to_string(plot).unwrap();
    check_svg(&svg);
    assert_eq!(svg.matches(">metadata/").count(), 20);
}

/// Every element that is opened is closed in turn, and every attribute is quoted.
fn check_svg(svg: &str) {
    let mut open = Vec::new();
    let mut rest = svg;
    while let Some(start) = rest.find('<') {
        let end = rest[start..].find('>').expect("an element ends") + start;
        let tag = &rest[start + 1..end];
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "elements are closed in turn"),
            None if tag.ends_with('/') => {}
            None => open.push(tag.split(' ').next().unwrap()),
        }
        assert_eq!(tag.matches('"').count(), 2 * tag.matches("=\"").count(), "{tag}");
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty() && svg.starts_with("<svg "), "{open:?}");
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "every length is a number");
}
