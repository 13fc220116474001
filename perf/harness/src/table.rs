//! The table that is printed: a row for each metric, with medians, spreads, ratios, and the floor where there is one.

use crate::results::{JUDGED, Results, Series, Unit};
use crate::statistics::Spread;

pub fn table(results: &Results, rounds: usize) -> String {
    let mut rows = vec![HEADINGS.map(str::to_string)];
    rows.extend(results.series.iter().map(row));
    let mut text =
        format!("medians of {rounds} rounds (least to greatest); ratios taken round by round; more is better\n\n");
    for row in &rows {
        let cells: Vec<String> = (0..row.len()).map(|column| padded(&rows, row, column)).collect();
        text += cells.join("  ").trim_end();
        text += "\n";
    }
    for (what, lines) in [("skipped", &results.skipped), ("failed", &results.failures)] {
        for line in lines {
            text += &format!("{what}: {line}\n");
        }
    }
    text
}

const HEADINGS: [&str; 8] = ["metric", "shoal", "null", "plain", "beside", "shoal/null", "shoal/plain", "floor"];

fn row(series: &Series) -> [String; 8] {
    let value = |target| series.spread(target).map_or(String::from("-"), |spread| with_spread(spread, series.unit));
    let ratio = |of| series.ratio(JUDGED, of).map_or(String::from("-"), as_ratio);
    [
        series.metric.clone(),
        value("shoal"),
        value("null"),
        value("plain"),
        beside(series),
        ratio("null"),
        ratio("plain"),
        verdict(series),
    ]
}

/// What was measured beside the targets, and its name.
fn beside(series: &Series) -> String {
    let other = series.targets().into_iter().find(|target| !["shoal", "null", "plain"].contains(target));
    let told = |target| Some(format!("{target} {}", with_spread(series.spread(target)?, series.unit)));
    other.and_then(told).unwrap_or_else(|| String::from("-"))
}

fn verdict(series: &Series) -> String {
    let Some(floor) = series.floor else { return String::new() };
    let wanted = format!("{:.2} of {}", floor.ratio, floor.of);
    match (series.meets_floor(), series.ratio(JUDGED, floor.of)) {
        (Some(met), Some(ratio)) => {
            format!("{wanted}: {} with {:.2}", if met { "met" } else { "MISSED" }, ratio.median)
        }
        _ => format!("{wanted}: not measured"),
    }
}

fn with_spread(spread: Spread, unit: Unit) -> String {
    let Spread { median, min, max } = spread;
    format!("{} ({}-{})", with_unit(median, unit), short(min, unit), short(max, unit))
}

fn as_ratio(Spread { median, min, max }: Spread) -> String {
    format!("{median:.2} ({min:.2}-{max:.2})")
}

fn with_unit(value: f64, unit: Unit) -> String {
    let name = match unit {
        Unit::BytesPerSecond => "MB/s",
        Unit::OperationsPerSecond => "op/s",
        Unit::FilesPerSecond => "files/s",
    };
    format!("{} {name}", short(value, unit))
}

fn short(value: f64, unit: Unit) -> String {
    match unit {
        Unit::BytesPerSecond => format!("{:.0}", value / 1e6),
        Unit::OperationsPerSecond | Unit::FilesPerSecond => format!("{value:.0}"),
    }
}

/// Names to the left, numbers to the right.
fn padded(rows: &[[String; 8]], row: &[String; 8], column: usize) -> String {
    let width = rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    match column {
        0 | 7 => format!("{:<width$}", row[column]),
        _ => format!("{:>width$}", row[column]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Measured;

    #[test]
    fn a_row_tells_medians_ratios_and_whether_the_floor_was_met() {
        let mut results = Results::default();
        for (target, value) in [("shoal", 60e6), ("null", 100e6)] {
            let (metric, unit) = ("memory-cache/sequential-read-1m".to_string(), Unit::BytesPerSecond);
            let measured = Measured { metric, unit, value, latency: None, instead_of_target: None };
            results.add(target, 0, measured.clone());
            results.add(target, 1, measured);
        }
        results.skipped.push("source-tree: none".into());
        let text = table(&results, 2);
        assert!(text.contains("60 MB/s (60-60)"), "{text}");
        assert!(text.contains("0.60 (0.60-0.60)"), "{text}");
        assert!(text.contains("0.70 of null: MISSED with 0.60"), "{text}");
        assert!(text.contains("skipped: source-tree: none"), "{text}");
    }
}
