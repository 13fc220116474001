//! A store that is being filled, for `load` and `migrate`: made, claimed, filled, and what is said when that fails.

use crate::clock;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::meta_url::MetaUrl;
use crate::progress::Progress;
use crate::volume;
use shoal_kv::{Kv, Snapshot};
use shoal_metadata::Metadata;
use shoal_metadata_dump::{LoadError, Loading, Numbers};
use shoal_types::VolumeSettings;
use std::sync::Arc;
use uuid::Uuid;

pub struct Target<'a> {
    url: &'a MetaUrl,
    pub kv: Arc<dyn Kv>,
    loading: Loading,
}

impl<'a> Target<'a> {
    /// An empty store. With `restart`, what an earlier load has left there half-done is removed first.
    pub fn claim(url: &'a MetaUrl, restart: bool) -> Outcome<Self> {
        if restart {
            remove_half_loaded(url)?;
        }
        let kv = url.create()?;
        match Loading::begin(kv.clone(), Uuid::new_v4().as_u64_pair().0) {
            Ok(loading) => Ok(Target { url, kv, loading }),
            Err(LoadError::NotEmpty) => Err(not_empty(url, kv.as_ref())?),
            Err(error) => Err(explain(url, "", &error)),
        }
    }

    /// `source` is what it is called. Gives how many records have come.
    pub fn fill(&mut self, source: &str, snapshot: &mut dyn Snapshot) -> Outcome<u64> {
        let progress = Progress::count("loading records");
        let filled = self.loading.fill(snapshot, &mut |pairs| progress.set(pairs));
        filled.map_err(|error| explain(self.url, source, &error))
    }

    /// From here on there is a volume.
    pub fn finish(self, source: &str, numbers: Numbers) -> Outcome<VolumeSettings> {
        let Target { url, kv, loading } = self;
        let settings = loading.finish(numbers, clock::now()).map_err(|error| explain(url, source, &error))?;
        kv.close().map_err(|error| Failure::of_store(url, &error))?;
        Ok(settings)
    }
}

fn remove_half_loaded(url: &MetaUrl) -> Outcome<()> {
    let kv = match url.open() {
        Ok(kv) => kv,
        Err(failure) if failure.exit == Exit::NotFound => return Ok(()),
        Err(failure) => return Err(failure),
    };
    let half_loaded = volume::is_half_loaded(url, kv.as_ref())?;
    kv.close().map_err(|error| Failure::of_store(url, &error))?;
    drop(kv);
    // Whatever else is there is not ours to remove: the claim refuses it.
    if half_loaded { url.remove() } else { Ok(()) }
}

fn not_empty(url: &MetaUrl, kv: &dyn Kv) -> Outcome<Failure> {
    let settings = Metadata::find(kv).map_err(|error| Failure::of_metadata(url, &error))?;
    if settings.is_none() && volume::is_half_loaded(url, kv)? {
        return Ok(volume::half_loaded(url));
    }
    let why = match settings {
        Some(settings) => format!("it holds the volume {}", settings.name),
        None => "it is not empty".into(),
    };
    Ok(Failure::new(Exit::InUse, url, why, "name another META-URL: only an empty one is loaded into"))
}

fn explain(url: &MetaUrl, source: &str, error: &LoadError) -> Failure {
    match error {
        LoadError::Source(error) => {
            let failure = Failure::of_store(source, error);
            Failure::new(failure.exit, source, error, format_args!("{url} holds no volume: load again with --restart"))
        }
        LoadError::Store(error) => Failure::of_metadata(url, error),
        LoadError::NotEmpty => Failure::new(Exit::InUse, url, error, "name another META-URL"),
        LoadError::TakenOver => Failure::new(Exit::InUse, url, error, "leave it to them, or name another META-URL"),
        LoadError::NoVolume => Failure::new(Exit::Damaged, source, error, "take another dump"),
    }
}
