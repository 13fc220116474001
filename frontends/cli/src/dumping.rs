//! One dump as `shoal dump` and the mounts' backups write it: sealed where the volume's key is at hand.

use crate::clock;
use shoal_encryption::VolumeSealer;
use shoal_kv::{Kv, KvError};
use shoal_metadata::{MetaError, Metadata};
use shoal_metadata_dump::sealed::SealedHeader;
use shoal_metadata_dump::{DumpError, Header, Totals};
use shoal_types::VolumeSettings;
use std::io::Write;

/// Writes all of it and flushes. `progress` is told the number of records so far.
pub fn write<W: Write>(
    kv: &dyn Kv,
    settings: &VolumeSettings,
    sealer: Option<&VolumeSealer>,
    mut out: W,
    progress: &mut dyn FnMut(u64),
) -> Result<(Totals, W), DumpError> {
    let header = Header {
        schema: settings.schema,
        name: settings.name.clone(),
        uuid: settings.uuid.clone(),
        made_at: clock::now(),
        program: env!("CARGO_PKG_VERSION").into(),
    };
    let mut snapshot = kv.snapshot()?;
    let Some(sealer) = sealer else {
        let totals = shoal_metadata_dump::write(snapshot.as_mut(), &header, &mut out, progress)?;
        return Ok((totals, out));
    };
    // After `shoal key rotate` it's wrapped anew, and what opens the volume now is to open the dump.
    let key = Metadata::wrapped_key(kv).map_err(|error| match error {
        MetaError::Store(error) => error,
        error => KvError::Other(error.to_string()),
    })?;
    let key = key.ok_or_else(|| KvError::Damaged("the volume is encrypted, and its key is not there".into()))?;
    let seal = SealedHeader::new(&settings.uuid, sealer, key);
    let mut sealing = seal.seal(sealer, out).map_err(DumpError::Output)?;
    let totals = shoal_metadata_dump::write(snapshot.as_mut(), &header, &mut sealing, progress)?;
    Ok((totals, sealing.end().map_err(DumpError::Output)?))
}
