//! What came out: a value for each metric, target and round. More is better in every unit.

use crate::floors::{Floor, floor};
use crate::statistics::Spread;
use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    BytesPerSecond,
    OperationsPerSecond,
    FilesPerSecond,
}

/// One metric of one round, as a workload reports it.
#[derive(Clone, Debug)]
pub struct Measured {
    pub metric: String,
    pub unit: Unit,
    pub value: f64,
    pub latency: Option<Latency>,
    /// Where it is not the target that the workload ran on.
    pub instead_of_target: Option<&'static str>,
}

/// How long single operations took.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Latency {
    pub mean_us: f64,
    pub median_us: f64,
    pub p99_us: f64,
    pub max_us: f64,
}

#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    pub target: String,
    pub round: usize,
    pub value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
}

#[derive(Debug, Serialize)]
pub struct Series {
    pub metric: String,
    pub unit: Unit,
    pub floor: Option<Floor>,
    pub samples: Vec<Sample>,
}

#[derive(Debug, Default, Serialize)]
pub struct Results {
    pub series: Vec<Series>,
    /// What was not measured, and why.
    pub skipped: Vec<String>,
    /// What went wrong.
    pub failures: Vec<String>,
}

impl Results {
    pub fn add(&mut self, target: &str, round: usize, measured: Measured) {
        let Measured { metric, unit, value, latency, instead_of_target } = measured;
        let sample = Sample { target: instead_of_target.unwrap_or(target).to_string(), round, value, latency };
        match self.series.iter_mut().find(|series| series.metric == metric) {
            Some(series) => series.samples.push(sample),
            None => {
                let floor = floor(&metric);
                self.series.push(Series { metric, unit, floor, samples: vec![sample] });
            }
        }
    }

    /// Whether every floor that could be judged was met, nothing failed, and there was something to judge.
    pub fn meets_all_floors(&self) -> bool {
        let met: Vec<bool> = self.series.iter().filter_map(Series::meets_floor).collect();
        self.failures.is_empty() && !met.is_empty() && met.iter().all(|met| *met)
    }
}

impl Series {
    /// In the order in which they first ran.
    pub fn targets(&self) -> Vec<&str> {
        let mut targets = Vec::new();
        for sample in &self.samples {
            if !targets.contains(&sample.target.as_str()) {
                targets.push(&sample.target);
            }
        }
        targets
    }

    pub fn spread(&self, target: &str) -> Option<Spread> {
        Spread::of(self.values(target).map(|(_, value)| value))
    }

    /// Round by round, because what disturbs a machine lasts longer than a round and hits neighbours alike.
    pub fn ratio(&self, target: &str, of: &str) -> Option<Spread> {
        let ratios = self.values(target).filter_map(|(round, value)| {
            let (_, other) = self.values(of).find(|(other_round, _)| *other_round == round)?;
            (other > 0.0).then_some(value / other)
        });
        Spread::of(ratios)
    }

    /// `None` where there is no floor, or where one of the two was not measured.
    pub fn meets_floor(&self) -> Option<bool> {
        let floor = self.floor?;
        Some(self.ratio(JUDGED, floor.of)?.median >= floor.ratio)
    }

    fn values<'a>(&'a self, target: &'a str) -> impl Iterator<Item = (usize, f64)> + 'a {
        self.samples.iter().filter(move |sample| sample.target == target).map(|sample| (sample.round, sample.value))
    }
}

/// Whose floors they are.
pub const JUDGED: &str = "shoal";

#[cfg(test)]
mod tests {
    use super::*;

    pub fn measured(metric: &str, value: f64) -> Measured {
        let (metric, unit) = (metric.to_string(), Unit::OperationsPerSecond);
        Measured { metric, unit, value, latency: None, instead_of_target: None }
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let mut results = Results::default();
        // The machine was ten times slower in round 1, for both.
        for (round, slow) in [1.0, 10.0, 1.0].iter().enumerate() {
            results.add("shoal", round, measured("m", 50.0 / slow));
            results.add("null", round, measured("m", 100.0 / slow));
        }
        let series = &results.series[0];
        assert_eq!(series.ratio("shoal", "null"), Spread::of([0.5, 0.5, 0.5]));
        assert_eq!(series.ratio("shoal", "plain"), None);
        assert_eq!(series.targets(), ["shoal", "null"]);
    }

    #[test]
    fn a_floor_is_judged_by_the_median_and_only_where_both_ran() {
        let name = "metadata/create/shared-8";
        let mut results = Results::default();
        results.add("null", 0, measured(name, 100.0));
        assert_eq!((results.series[0].meets_floor(), results.meets_all_floors()), (None, false));
        results.add("shoal", 0, measured(name, 31.0));
        assert_eq!((results.series[0].meets_floor(), results.meets_all_floors()), (Some(true), true));
        for round in 1..3 {
            results.add("null", round, measured(name, 100.0));
            results.add("shoal", round, measured(name, 29.0));
        }
        assert_eq!((results.series[0].meets_floor(), results.meets_all_floors()), (Some(false), false));
    }
}
