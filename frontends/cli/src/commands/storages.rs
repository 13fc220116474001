//! `shoal storages`: the kinds of object stores that this build has, and the options of each.

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output;
use serde::Serialize;
use shoal_object_store::services::{self, OptionKind, Service, StorageOption};
use shoal_object_store::variable;

/// List the object stores that this build knows
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  shoal storages            # all of them
  shoal storages s3         # the options of one
  shoal storages --json     # everything, for programs

Options stand behind the URL: s3://bucket/prefix?region=eu-west-1&path_style=true
Secrets stand in the environment, never in a URL.")]
pub struct Arguments {
    /// Tell the options of this one
    pub kind: Option<String>,
    /// For programs
    #[arg(long)]
    pub json: bool,
}

#[derive(Serialize)]
struct Kind {
    scheme: &'static str,
    url: String,
    what: &'static str,
    read_only: bool,
    options: Vec<Told>,
}

#[derive(Serialize)]
struct Told {
    /// In a URL, or the variable of a secret.
    name: String,
    secret: bool,
    what: &'static str,
}

pub fn run(arguments: Arguments) -> Outcome<Exit> {
    let chosen: Vec<&Service> = match &arguments.kind {
        None => services::all().collect(),
        Some(scheme) => match services::find(scheme.trim_end_matches("://")) {
            Some(service) => vec![service],
            None => {
                let cure = if services::is_full() { "" } else { ", or build with --features full" };
                let cure = format!("see shoal storages for those it has{cure}");
                return Err(Failure::new(Exit::NotFound, scheme, "this build has no such object store", cure));
            }
        },
    };
    match (arguments.json, &arguments.kind) {
        (true, _) => output::print_json(&chosen.into_iter().map(told).collect::<Vec<_>>())?,
        (false, Some(_)) => chosen.into_iter().try_for_each(|service| output::print(show_one(service)))?,
        (false, None) => output::print(show_all(&chosen))?,
    }
    Ok(Exit::Success)
}

fn show_all(chosen: &[&Service]) -> String {
    let rows: Vec<Vec<String>> = chosen.iter().map(|service| vec![service.example(), service.title.into()]).collect();
    let rest = match services::is_full() {
        true => "",
        false => "\nMore with cargo build --features full. ",
    };
    format!("{}\n{rest}The options of one: shoal storages KIND", output::columns(&rows))
}

fn show_one(service: &'static Service) -> String {
    let row = |option: &StorageOption| {
        let kind = if option.kind == OptionKind::Flag { "true or false: " } else { "" };
        vec![format!("  {}", written(option)), format!("{kind}{}", option.help)]
    };
    let rows = |secret: bool| {
        let chosen = service.options().filter(|option| (option.kind == OptionKind::Secret) == secret);
        output::columns(&chosen.map(row).collect::<Vec<_>>())
    };
    let mut text = format!("{}: {}", service.example(), service.title);
    for (heading, rows) in [("in the URL, behind ?", rows(false)), ("in the environment", rows(true))] {
        if !rows.is_empty() {
            text += &format!("\n{heading}\n{rows}");
        }
    }
    text
}

fn told(service: &'static Service) -> Kind {
    let options = service.options().map(|option| Told {
        name: written(option),
        secret: option.kind == OptionKind::Secret,
        what: option.help,
    });
    let (scheme, what, read_only) = (service.scheme, service.title, service.read_only);
    Kind { scheme, url: service.example(), what, read_only, options: options.collect() }
}

fn written(option: &StorageOption) -> String {
    match option.kind {
        OptionKind::Secret => variable(option.name),
        OptionKind::Text | OptionKind::Flag => option.name.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_and_option_is_told_and_secrets_by_their_variables() {
        let s3 = show_one(services::find("s3").unwrap());
        assert!(s3.contains("  endpoint ") && s3.contains("SHOAL_STORAGE_SECRET_ACCESS_KEY"), "{s3}");
        assert!(!s3.contains("  secret_access_key"), "{s3}");
        let all = show_all(&services::all().collect::<Vec<_>>());
        assert!(all.contains("s3://BUCKET[/PREFIX]") && all.contains("file:///FOLDER"), "{all}");
    }
}
