//! One file from end to end out of an object store, with nothing of it cached, beside a bare loop: the same objects by the
//! same client, as many at once as the mount reads ahead, and nobody looks at the bytes.
//!
//! The loop runs in this process, and its memory is given back object by object. Both share the machine with the server
//! where that runs here.

use super::{Workload, content, sequential};
use crate::arguments::{Settings, TargetKind};
use crate::failure::{During, Failure, Outcome};
use crate::interrupt;
use crate::results::{Measured, Unit};
use crate::targets::{Running, Setup};
use futures_util::{StreamExt, TryStreamExt, stream};
use shoal_object_store::{ObjectStore, Secrets, StorageUrl};
use std::sync::Arc;
use std::time::Instant;

pub(super) struct StoreRead;

/// 64 MiB ahead (`--max-readahead`) in objects of 4 MiB.
const OBJECTS_AT_ONCE: usize = 16;
const LOOP: &str = "bare-loop";

impl Workload for StoreRead {
    fn name(&self) -> &'static str {
        "store-read"
    }

    fn about(&self) -> &'static str {
        "a file in 1 MiB reads out of an object store, cold, beside a bare loop over its objects; needs --store"
    }

    fn setup(&self) -> Setup {
        Setup::OnStore
    }

    fn concerns(&self, target: TargetKind) -> bool {
        target == TargetKind::Shoal
    }

    fn prepare(&self, target: &Running, settings: &Settings) -> Outcome<()> {
        content::write(&content::path(target), settings.file_bytes)
    }

    fn run(&self, target: &Running, settings: &Settings) -> Outcome<Vec<Measured>> {
        let url = settings.store.as_deref().ok_or_else(|| Failure::new("no object store is named"))?;
        // The daemon's memory is another one's then, and so is the kernel's.
        target.mount_anew()?;
        let metric = format!("{}/1m", self.name());
        let read = sequential::bandwidth(&sequential::reading(target, settings), metric.clone())?;
        interrupt::check()?;
        let value = bare_loop(url, settings.file_bytes).during(url)?;
        let looped =
            Measured { metric, unit: Unit::BytesPerSecond, value, latency: None, instead_of_target: Some(LOOP) };
        Ok(vec![read, looped])
    }
}

/// Bytes a second.
fn bare_loop(url: &str, bytes_min: u64) -> Outcome<f64> {
    let url = StorageUrl::parse(url).during("its parts")?;
    let secrets = Secrets::from_variables(url.service(), |variable| std::env::var(variable).ok());
    let store = shoal_object_store::open(&url, &secrets).during("opening it")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.during("starting a runtime")?.block_on(async {
        let keys = list(&store).await?;
        let begin = Instant::now();
        let reads = keys.into_iter().map(|key| {
            let store = store.clone();
            // Tasks, so that both cores take part.
            async move { tokio::spawn(async move { store.get_whole(&key).await.map(|bytes| bytes.len() as u64) }).await }
        });
        let lengths = stream::iter(reads).buffer_unordered(OBJECTS_AT_ONCE);
        let read = lengths.map(|read| read.during("a task")?.during("a get")).try_fold(0, async |sum, length| Ok(sum + length));
        let (read, took) = (read.await?, begin.elapsed());
        match read >= bytes_min {
            true => Ok(read as f64 / took.as_secs_f64()),
            false => Err(Failure::new(format_args!("its objects have {read} bytes, less than the file's {bytes_min}"))),
        }
    })
}

async fn list(store: &Arc<dyn ObjectStore>) -> Outcome<Vec<String>> {
    let mut keys = Vec::new();
    let mut note = |object: shoal_object_store::ListedObject| {
        keys.push(object.key);
        Ok(())
    };
    store.list("", &mut note).await.during("listing it")?;
    Ok(keys)
}
