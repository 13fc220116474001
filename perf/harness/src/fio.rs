//! One fio job: its command line, and what its JSON says.

use crate::failure::{During, Failure, Outcome};
use crate::interrupt;
use crate::results::Latency;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Clone, Debug)]
pub struct Job {
    pub file: PathBuf,
    pub access: Access,
    pub block_bytes: u64,
    pub file_bytes: u64,
    pub direct: bool,
    /// 1 is one synchronous call after the other; more goes through the asynchronous engine.
    pub depth: u32,
    /// Ends it early; the whole file otherwise.
    pub seconds_max: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    SequentialRead,
    RandomRead,
    /// With an fsync at the end, inside the measured time.
    SequentialWrite,
}

#[derive(Clone, Copy, Debug)]
pub struct Figures {
    pub bytes_per_second: f64,
    pub operations_per_second: f64,
    pub latency: Latency,
}

impl Job {
    pub fn run(&self) -> Outcome<Figures> {
        let output = interrupt::run(Command::new("fio").args(self.arguments()))?;
        parse(&String::from_utf8_lossy(&output.stdout), self.access.direction()).during(format_args!("fio {self:?}"))
    }

    fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![
            "--name=perf".to_string(),
            "--output-format=json".to_string(),
            // A colon would separate two files.
            format!("--filename={}", self.file.display().to_string().replace(':', "\\:")),
            format!("--rw={}", self.access.name()),
            format!("--bs={}", self.block_bytes),
            format!("--size={}", self.file_bytes),
            format!("--direct={}", u8::from(self.direct)),
            format!("--ioengine={}", if self.depth == 1 { "psync" } else { "io_uring" }),
            format!("--iodepth={}", self.depth),
            "--fallocate=none".to_string(),
            // What the kernel has cached of the file is dropped first, so that a read reaches the file system.
            "--invalidate=1".to_string(),
        ];
        arguments.extend(self.seconds_max.map(|seconds| format!("--runtime={seconds}")));
        match self.access {
            Access::SequentialWrite => arguments.push("--end_fsync=1".to_string()),
            _ => arguments.extend(["--readonly".to_string(), "--allow_file_create=0".to_string()]),
        }
        arguments
    }
}

impl Access {
    fn name(self) -> &'static str {
        match self {
            Access::SequentialRead => "read",
            Access::RandomRead => "randread",
            Access::SequentialWrite => "write",
        }
    }

    fn direction(self) -> &'static str {
        if self == Access::SequentialWrite { "write" } else { "read" }
    }
}

/// Whether fio is installed and may use io_uring here.
pub fn probe(folder: &Path) -> Outcome<()> {
    let file = folder.join("fio-probe");
    std::fs::write(&file, vec![1; 64 << 10]).during(file.display())?;
    let job = Job {
        file: file.clone(),
        access: Access::RandomRead,
        block_bytes: 4096,
        file_bytes: 64 << 10,
        direct: false,
        depth: 4,
        seconds_max: None,
    };
    let probed = job.run().during("fio with io_uring does not work here (ci/install installs it)");
    std::fs::remove_file(&file).during(file.display())?;
    probed.map(|_| ())
}

fn parse(output: &str, direction: &str) -> Outcome<Figures> {
    // Notes may stand in front of the JSON.
    let start = output.find('{').ok_or_else(|| Failure::new(format_args!("no JSON in its output: {output}")))?;
    let report: Value = serde_json::from_str(&output[start..]).during("its JSON")?;
    let job = &report["jobs"][0];
    if job["error"].as_i64() != Some(0) {
        return Err(Failure::new(format_args!("the job ended with error {}", job["error"])));
    }
    let done = &job[direction];
    let latency = &done["clat_ns"];
    let micros = |value: &Value| number(value, "a latency").map(|nanos| nanos / 1000.0);
    let figures = Figures {
        bytes_per_second: number(&done["bw_bytes"], "bw_bytes")?,
        operations_per_second: number(&done["iops"], "iops")?,
        latency: Latency {
            mean_us: micros(&latency["mean"])?,
            median_us: micros(&latency["percentile"]["50.000000"])?,
            p99_us: micros(&latency["percentile"]["99.000000"])?,
            max_us: micros(&latency["max"])?,
        },
    };
    match figures.operations_per_second > 0.0 {
        true => Ok(figures),
        false => Err(Failure::new("the job did nothing")),
    }
}

fn number(value: &Value, what: &str) -> Outcome<f64> {
    value.as_f64().ok_or_else(|| Failure::new(format_args!("its JSON has no {what}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"fio: a note in front
    { "fio version" : "fio-3.33", "jobs" : [ { "jobname" : "perf", "error" : 0,
        "read" : { "io_bytes" : 65536, "bw_bytes" : 1048576, "iops" : 256.5,
            "clat_ns" : { "min" : 1000, "max" : 90000, "mean" : 2500.5,
                "percentile" : { "50.000000" : 2000, "99.000000" : 8000 } } },
        "write" : { "io_bytes" : 0, "bw_bytes" : 0, "iops" : 0.0,
            "clat_ns" : { "min" : 0, "max" : 0, "mean" : 0.0 } } } ] }"#;

    #[test]
    fn the_figures_of_a_report_are_found() {
        let figures = parse(REPORT, "read").unwrap();
        assert_eq!((figures.bytes_per_second, figures.operations_per_second), (1048576.0, 256.5));
        let expected = Latency { mean_us: 2.5005, median_us: 2.0, p99_us: 8.0, max_us: 90.0 };
        assert_eq!(figures.latency, expected);
    }

    #[test]
    fn a_report_of_nothing_or_of_an_error_is_refused() {
        assert!(parse(REPORT, "write").is_err());
        assert!(parse(&REPORT.replace(r#""error" : 0"#, r#""error" : 5"#), "read").is_err());
        assert!(parse("fio: no such engine", "read").is_err());
    }
}
