//! `shoal storage-test`: holds an object store to the contract that volumes rely on, and reports claim by claim.
//!
//! Each claim works below a prefix of its own, in a folder of this run. What is below it is removed at the end; nothing
//! else is touched.

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::{self, say};
use crate::storage;
use crate::storage_secrets::Source;
use shoal_object_store::contract::{CLAIMS, Subject};
use shoal_object_store::{ListedObject, ObjectStore, PrefixedStore, StoreResult};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use uuid::Uuid;

/// Test an object store: does it keep what volumes rely on?
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  shoal storage-test file:///mnt/nas/objects
  shoal storage-test s3://bucket/prefix?region=eu-west-1
  shoal storage-test 's3://bucket?endpoint=http://127.0.0.1:9000&conditional_writes=false'

It writes some 70 MB below a folder of its own, shoal-storage-test-…, and removes it.
It may run beside volumes that use the same store. Exit code 1: a claim does not hold.")]
pub struct Arguments {
    /// Where: see shoal storages
    pub url: String,
    /// Only the claims whose name contains this
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,
}

pub fn run(arguments: Arguments) -> Outcome<Exit> {
    let url = storage::parse(&arguments.url)?;
    if url.service().read_only {
        return Err(Failure::usage(format_args!("{url}: nothing can be put there, so there is nothing to test")));
    }
    let secrets = Source::environment(url.service())?.read()?;
    let runtime = storage::start_runtime(&url)?;
    let store = shoal_object_store::open(&url, &secrets).map_err(|error| Failure::of_objects(&url, &error))?;
    let folder = format!("shoal-storage-test-{}/", Uuid::new_v4());
    // A store that is not there at all is one finding, not as many as there are claims.
    let reached = runtime.block_on(store.list(&folder, &mut |_| Ok(())));
    reached.map_err(|error| Failure::of_objects(&url, &error))?;
    let chosen = |name: &str| arguments.only.as_deref().is_none_or(|text| name.contains(text));
    let (mut kept, mut broken) = (0, 0);
    for (name, claim) in CLAIMS.iter().filter(|(name, _)| chosen(name)) {
        let part = PrefixedStore::new(store.clone(), format!("{folder}{name}/"));
        let begun = Instant::now();
        let subject = Subject::new(Arc::new(part)).without_deciding_races();
        let verdict = runtime.block_on(async {
            match tokio::time::timeout(CLAIM_TIME_MAX, claim(&subject)).await {
                Ok(verdict) => verdict.map_err(|broken| broken.to_string()),
                Err(_) => Err(format!("it took longer than {CLAIM_TIME_MAX:?}")),
            }
        });
        let took = begun.elapsed();
        let told = name.replace('_', " ");
        match verdict {
            Ok(()) => {
                kept += 1;
                output::print(format_args!("kept    {told} ({} ms)", took.as_millis()))?;
            }
            Err(why) => {
                broken += 1;
                output::print(format_args!("BROKEN  {told}: {}", secrets.scrub(why)))?;
            }
        }
    }
    if let Err(error) = runtime.block_on(clean_up(store.as_ref(), &folder)) {
        say(format_args!("what was written stays in {folder}: {error}"));
    } else if let Some(root) = url.folder() {
        storage::remove_empty(&root.join(&folder))?;
    }
    output::print(format_args!("{url}: {kept} of {} claims are kept", kept + broken))?;
    Ok(if broken == 0 { Exit::Success } else { Exit::Findings })
}

async fn clean_up(store: &dyn ObjectStore, folder: &str) -> StoreResult<()> {
    let mut keys = Vec::new();
    let mut found = |object: ListedObject| {
        keys.push(object.key);
        Ok(())
    };
    store.list(folder, &mut found).await?;
    for key in keys {
        match store.delete(&key).await {
            Err(error) if !error.is_not_found() => return Err(error),
            _ => {}
        }
    }
    // Other writers' unfinished objects in the same place are young.
    let grace = Duration::from_secs(3600);
    store.remove_temporaries(SystemTime::now().checked_sub(grace).unwrap_or(SystemTime::UNIX_EPOCH)).await?;
    store.remove_empty_folders(folder).await
}

const CLAIM_TIME_MAX: Duration = Duration::from_secs(300);
