//! Checks of the source tree that no compiler makes: `cargo run -p shoal-ci-tasks -- tidy`. And what a run of all tests says
//! about each metadata engine: `engines LOG`.
//!
//! Relies on `cargo metadata` for the crates and on the files of the checkout for the rest. Never changes a file.

mod arrows;
mod engines;
mod members;
mod sources;
mod workspace;

use std::path::Path;
use std::process::ExitCode;
use workspace::Workspace;

/// One broken rule: where, and what is wrong there.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    pub place: String,
    pub what: String,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["tidy"] => tidy(),
        ["engines", log] => engines(log),
        _ => {
            eprintln!("usage: cargo run -p shoal-ci-tasks -- tidy, or engines LOG");
            ExitCode::from(2)
        }
    }
}

fn tidy() -> ExitCode {
    match findings() {
        Ok((files, found)) if found.is_empty() => {
            println!("tidy: {files} source files, nothing to object to");
            ExitCode::SUCCESS
        }
        Ok((_, found)) => {
            for Finding { place, what } in &found {
                eprintln!("{place}: {what}");
            }
            eprintln!("tidy: {} findings", found.len());
            ExitCode::FAILURE
        }
        Err(reason) => {
            eprintln!("tidy could not look: {reason}");
            ExitCode::from(2)
        }
    }
}

fn engines(log: &str) -> ExitCode {
    let text = match std::fs::read(log) {
        Ok(text) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) => {
            eprintln!("{log}: {error}");
            return ExitCode::from(2);
        }
    };
    let (table, missing) = engines::table(&text);
    println!("{table}");
    for Finding { place, what } in &missing {
        eprintln!("{place}: {what}");
    }
    if missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The number of files looked at, and everything wrong with them or with the crates.
fn findings() -> Result<(usize, Vec<Finding>), String> {
    let workspace = Workspace::load()?;
    let mut found = arrows::check(&workspace.packages);
    found.extend(members::check(&workspace.manifest, &workspace.packages));
    let files = sources::list(Path::new(&workspace.root))?;
    for path in &files {
        let full = Path::new(&workspace.root).join(path);
        let text = std::fs::read_to_string(&full).map_err(|error| format!("{path}: {error}"))?;
        found.extend(sources::check(path, &text));
    }
    Ok((files.len(), found))
}
