//! What is kept: JSON with every sample, and the plot beside it.

use crate::arguments::Settings;
use crate::failure::{During, Outcome};
use crate::host::Host;
use crate::plot::svg;
use crate::results::{JUDGED, Results};
use crate::statistics::Spread;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(Serialize)]
struct Report<'a> {
    /// Grows when a reader of older files would misread newer ones.
    format: u32,
    ended_unix_seconds: u64,
    host: &'a Host,
    settings: &'a Settings,
    summary: Vec<Summary<'a>>,
    results: &'a Results,
}

#[derive(Serialize)]
struct Summary<'a> {
    metric: &'a str,
    targets: BTreeMap<&'a str, Spread>,
    /// Of ShoalFS to each other target, round by round.
    ratios: BTreeMap<&'a str, Spread>,
    floor_met: Option<bool>,
}

pub fn json(host: &Host, settings: &Settings, results: &Results) -> Outcome<String> {
    let ended = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let summary = results.series.iter().map(|series| {
        let targets = series.targets();
        let others = targets.iter().filter(|target| **target != JUDGED);
        Summary {
            metric: &series.metric,
            targets: targets.iter().filter_map(|target| Some((*target, series.spread(target)?))).collect(),
            ratios: others.filter_map(|target| Some((*target, series.ratio(JUDGED, target)?))).collect(),
            floor_met: series.meets_floor(),
        }
    });
    let summary = summary.collect();
    let report = Report { format: 1, ended_unix_seconds: ended.as_secs(), host, settings, summary, results };
    serde_json::to_string_pretty(&report).during("writing the results as JSON")
}

/// Writes `out` and the plot beside it; gives back where that is.
pub fn write(out: &Path, host: &Host, settings: &Settings, results: &Results) -> Outcome<PathBuf> {
    if let Some(folder) = out.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).during(folder.display())?;
    }
    std::fs::write(out, json(host, settings, results)? + "\n").during(out.display())?;
    let plot = out.with_extension("svg");
    let title = format!("ShoalFS {:.12}, {} cores, {}", host.commit, host.cores, host.cpu);
    std::fs::write(&plot, svg(results, &title)).during(plot.display())?;
    Ok(plot)
}

/// `perf/results/<date>-<host>.json`, by the date of Greenwich.
pub fn default_path(host: &Host) -> PathBuf {
    let days = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / 86_400;
    let (year, month, day) = civil_date(days as i64);
    PathBuf::from(format!("perf/results/{year:04}-{month:02}-{day:02}-{}.json", host.name))
}

/// Year, month and day of a day counted from 1970-01-01. Years begin in March here, so that the leap day is the last.
fn civil_date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        assert_eq!(civil_date(0), (1970, 1, 1));
        assert_eq!(civil_date(11_016), (2000, 2, 29));
        assert_eq!(civil_date(11_017), (2000, 3, 1));
        assert_eq!(civil_date(20_453), (2025, 12, 31));
    }
}
