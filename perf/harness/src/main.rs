//! The program behind `perf/run`: reads the command line, runs the workloads, shows and stores what came out.

use clap::Parser;
use shoal_perf::arguments::Arguments;
use shoal_perf::failure::{During, Failure, Outcome};
use shoal_perf::targets::Ground;
use shoal_perf::workloads::{self, Workload};
use shoal_perf::{fio, host, interrupt, report, run, table};
use std::path::Path;
use std::process::ExitCode;
use tempfile::TempDir;

fn main() -> ExitCode {
    match measure(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("perf: {failure}");
            ExitCode::from(2)
        }
    }
}

/// Whether all went well, as far as that was asked for.
fn measure(arguments: &Arguments) -> Outcome<bool> {
    let workloads = chosen(arguments)?;
    if arguments.list {
        for workload in workloads {
            println!("{:<18} {}", workload.name(), workload.about());
        }
        return Ok(true);
    }
    interrupt::watch()?;
    let settings = arguments.settings();
    let (disk, memory) = (scratch(&arguments.dir)?, scratch(&arguments.memory_dir)?);
    let ground = Ground {
        disk: disk.path().to_path_buf(),
        memory: memory.path().to_path_buf(),
        binaries: arguments.bin_dir.canonicalize().during(arguments.bin_dir.display())?,
        // The content, another one that is being removed, and the slack that eviction keeps free.
        cache_bytes: (settings.file_bytes * 3).max(1 << 30),
        store: settings.store.clone(),
        metadata: settings.metadata.clone(),
    };
    fio::probe(&ground.disk)?;
    let host = host::facts(&ground.disk)?;
    let results = run::run(workloads, &settings, &ground)?;
    print!("{}", table::table(&results, settings.rounds));
    let out = arguments.out.clone().unwrap_or_else(|| report::default_path(&host));
    let plot = report::write(&out, &host, &settings, &results)?;
    println!("\nresults: {}\nplot:    {}", out.display(), plot.display());
    Ok(results.failures.is_empty() && (!arguments.check || results.meets_all_floors()))
}

fn chosen(arguments: &Arguments) -> Outcome<Vec<Box<dyn Workload>>> {
    let all = workloads::all();
    for name in &arguments.only {
        if !all.iter().any(|workload| workload.name().starts_with(name.as_str())) {
            return Err(Failure::new(format_args!("--only {name}: no workload begins so; --list shows them")));
        }
    }
    let wanted = |workload: &dyn Workload| {
        arguments.only.is_empty() || arguments.only.iter().any(|name| workload.name().starts_with(name.as_str()))
    };
    Ok(all.into_iter().filter(|workload| wanted(&**workload)).collect())
}

/// A folder of this run, removed with it.
fn scratch(parent: &Path) -> Outcome<TempDir> {
    std::fs::create_dir_all(parent).during(parent.display())?;
    let parent = parent.canonicalize().during(parent.display())?;
    tempfile::Builder::new().prefix("shoal-perf-").tempdir_in(&parent).during(parent.display())
}
