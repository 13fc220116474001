//! `shoal status`: a volume's settings, who uses it, how full it is and what still has to be cleaned up.

use crate::clock;
use crate::consistency;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::meta_url::MetaUrl;
use crate::mounted;
use crate::output;
use crate::sessions::{self, Here, Life};
use crate::size::{ByteCount, Span};
use crate::volume::{self, Opened};
use crate::writeback::{self, Content};
use serde::Serialize;
use shoal_client::KindFigures;
use shoal_metadata::{Account, Limits, Metadata, QuotaInfo, SessionInfo, SessionKind, WritebackFolder};
use shoal_types::{AlsoEncrypted, VolumeSettings};
use std::fs::File;
use std::path::Path;
use std::time::Duration;

/// Show a volume: settings, sessions, usage
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  shoal status sqlite:///srv/photos.db
  shoal status /mnt/photos
  shoal status /mnt/photos --json | jq -r '.sessions[].mount_point'

--json prints one object; names stay, new ones may come:
  meta_url
  volume    name, uuid, schema, storage, block_bytes, inline_bytes_max, staging,
            delete_grace_seconds, compression, cipher,
            also_encrypted: symlinks, xattrs
  usage     inodes, bytes
  limits    of the volume as a whole: inodes, bytes; no limit is null
  trash_days
  staged_bytes   of small files that wait in the metadata to be packed
  writeback folders with objects that are not uploaded yet: host, path, mount_point,
            objects, bytes
  requests  of a mount point whose mount may be asked: at_once (how many are let through;
            null where that is fixed), put, get and delete, each with requests, failed,
            given_up, bytes, half_within_us and most_within_us (99 of 100); else null
  queues    removals (files to be removed), deletions (objects to be deleted)
  sessions  session, kind (mount, command or watcher), consistency (of a mount:
            strict, coherent or relaxed), host, pid, mount_point, started
            and heartbeat (seconds since 1970), sustained (files removed while
            open), state: alive, gone (its process on this host has ended) or
            silent (not heard of for a minute)")]
pub struct Arguments {
    /// A volume's metadata, for example sqlite:///srv/volume.db, or where it is mounted
    #[arg(value_name = "META-URL|MOUNTPOINT")]
    pub volume: String,
    /// For programs
    #[arg(long)]
    pub json: bool,
}

#[derive(Serialize)]
struct Status {
    meta_url: String,
    volume: VolumeSettings,
    usage: Usage,
    limits: Limits,
    trash_days: u32,
    staged_bytes: u64,
    queues: Queues,
    writeback: Vec<NotUploaded>,
    requests: Option<Requests>,
    sessions: Vec<Session>,
}

/// What a mount has asked its object store.
#[derive(Serialize)]
struct Requests {
    at_once: Option<u64>,
    put: RequestsOfKind,
    get: RequestsOfKind,
    delete: RequestsOfKind,
}

#[derive(Serialize)]
struct RequestsOfKind {
    requests: u64,
    failed: u64,
    given_up: u64,
    bytes: u64,
    half_within_us: u64,
    most_within_us: u64,
}

impl From<KindFigures> for RequestsOfKind {
    fn from(figures: KindFigures) -> Self {
        let KindFigures { requests, failed, given_up, bytes, half_within_us, most_within_us } = figures;
        RequestsOfKind { requests, failed, given_up, bytes, half_within_us, most_within_us }
    }
}

#[derive(Serialize)]
struct NotUploaded {
    host: String,
    path: String,
    mount_point: String,
    objects: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct Usage {
    inodes: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct Queues {
    removals: usize,
    deletions: usize,
}

#[derive(Serialize)]
struct Session {
    session: u64,
    kind: &'static str,
    consistency: Option<&'static str>,
    host: String,
    pid: u32,
    mount_point: String,
    started: i64,
    heartbeat: i64,
    sustained: u64,
    state: Life,
}

pub fn run(arguments: Arguments) -> Outcome<Exit> {
    let url = mounted::url_of(&arguments.volume)?;
    let opened = volume::open(&url)?;
    let status = Status { requests: asked(Path::new(&arguments.volume)), ..look(&url, &opened)? };
    match arguments.json {
        true => output::print_json(&status)?,
        false => output::print(show(&status, &sessions::all(&opened.metadata)?))?,
    }
    Ok(Exit::Success)
}

fn look(url: &MetaUrl, opened: &Opened) -> Outcome<Status> {
    let Opened { metadata, settings, .. } = opened;
    let failed = |error| Failure::of_metadata(url, &error);
    let QuotaInfo { usage, limits, .. } = metadata.quota(Account::Volume).map_err(failed)?;
    let removals = metadata.queued_removals(u64::MAX, QUEUE_SHOWN_MAX).map_err(failed)?.len();
    let deletions = metadata.queued_deletions(u64::MAX, QUEUE_SHOWN_MAX).map_err(failed)?.len();
    Ok(Status {
        meta_url: url.shown(),
        volume: settings.clone(),
        usage: Usage { inodes: usage.inodes, bytes: usage.bytes },
        limits,
        trash_days: metadata.accounting().map_err(failed)?.trash_days,
        staged_bytes: metadata.staged_bytes().map_err(failed)?,
        queues: Queues { removals, deletions },
        writeback: not_uploaded(metadata, url)?,
        requests: None,
        sessions: sessions::all(metadata)?.into_iter().map(for_programs).collect(),
    })
}

/// Nothing of what is no mount point, or is another user's: then there is nothing to show, and no error.
fn asked(mount_point: &Path) -> Option<Requests> {
    let figures = shoal_fuse::control::store_figures(File::open(mount_point).ok()?).ok()?;
    let (put, get, delete) = (figures.put.into(), figures.get.into(), figures.delete.into());
    Some(Requests { at_once: figures.at_once, put, get, delete })
}

/// As of now for folders of this host, as of its mount's last word elsewhere.
fn not_uploaded(metadata: &Metadata, url: &MetaUrl) -> Outcome<Vec<NotUploaded>> {
    let folders = metadata.writeback_folders().map_err(|error| Failure::of_metadata(url, &error))?;
    let here = Here::look()?;
    let folder = |(_, folder): (u64, WritebackFolder)| {
        let WritebackFolder { host, path, mount_point, objects, bytes, .. } = folder;
        let looked = (host == here.name()).then(|| writeback::content(Path::new(&path)).ok()).flatten();
        let Content { objects, bytes } = looked.unwrap_or(Content { objects, bytes });
        NotUploaded { host, path, mount_point, objects, bytes }
    };
    Ok(folders.into_iter().map(folder).collect())
}

fn for_programs((info, state): (SessionInfo, Life)) -> Session {
    let SessionInfo { session, record, heartbeat, sustained } = info;
    Session {
        session: session.0,
        kind: match record.kind {
            SessionKind::Mount => "mount",
            SessionKind::Command => "command",
            SessionKind::Watcher => "watcher",
        },
        consistency: (record.kind == SessionKind::Mount).then(|| consistency::name(record.consistency)),
        host: record.host,
        pid: record.pid,
        mount_point: record.mount_point,
        started: record.started.seconds,
        heartbeat: heartbeat.seconds,
        sustained,
        state,
    }
}

fn encryption(volume: &VolumeSettings) -> String {
    let Some(cipher) = volume.cipher else { return "none".into() };
    let AlsoEncrypted { symlinks, xattrs } = volume.also_encrypted;
    let also = [(symlinks, ", symlinks too"), (xattrs, ", extended attributes too")];
    let also: String = also.into_iter().filter_map(|(chosen, text)| chosen.then_some(text)).collect();
    format!("{cipher}{also}")
}

fn show(status: &Status, sessions: &[(SessionInfo, Life)]) -> String {
    let Status { volume, usage, queues, .. } = status;
    let inline = match volume.inline_bytes_max {
        0 => "never".to_owned(),
        bytes => format!("up to {}", ByteCount(bytes.into())),
    };
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let rows = [
        row("volume", volume.name.clone()),
        row("uuid", volume.uuid.clone()),
        row("metadata", status.meta_url.clone()),
        row("objects", volume.storage.clone()),
        row("block size", ByteCount(volume.block_bytes.into()).to_string()),
        row("inline files", inline),
        row("packed files", packed(status)),
        row("compression", volume.compression.to_string()),
        row("encryption", encryption(volume)),
        row("delete grace", Span(Duration::from_secs(volume.delete_grace_seconds.into())).to_string()),
        row("trash", trash(status.trash_days)),
        row("schema", volume.schema.to_string()),
        row("used", used(usage, &status.limits)),
        row("to clean up", to_clean_up(queues)),
        row("not uploaded", to_upload(&status.writeback)),
        row("sessions", if sessions.is_empty() { "none".into() } else { sessions.len().to_string() }),
    ];
    let mut text = output::columns(&rows);
    if status.writeback.iter().any(|folder| folder.objects > 0) {
        text = format!("{text}\n\n{}", output::columns(&folder_rows(&status.writeback)));
    }
    if let Some(requests) = &status.requests {
        text = format!("{text}\n\n{}", output::columns(&request_rows(requests)));
    }
    if !sessions.is_empty() {
        text = format!("{text}\n\n{}", output::columns(&session_rows(sessions)));
    }
    text
}

fn packed(status: &Status) -> String {
    match status.volume.staging.file_bytes_max {
        0 => "never".into(),
        bytes => format!("up to {}; {} wait to be", ByteCount(bytes.into()), ByteCount(status.staged_bytes)),
    }
}

fn trash(days: u32) -> String {
    match days {
        0 => "none".into(),
        days => output::count(days.into(), "day", "days"),
    }
}

fn used(usage: &Usage, limits: &Limits) -> String {
    let of = |limit: Option<String>| limit.map(|limit| format!(" of {limit}")).unwrap_or_default();
    let bytes = format!("{}{}", ByteCount(usage.bytes), of(limits.bytes.map(|bytes| ByteCount(bytes).to_string())));
    let inodes = match limits.inodes {
        Some(limit) => format!("{} of {}", usage.inodes, output::count(limit, "inode", "inodes")),
        None => output::count(usage.inodes, "inode", "inodes"),
    };
    format!("{bytes} in {inodes}")
}

fn to_clean_up(queues: &Queues) -> String {
    let shown = |number: usize, one, many| match number == QUEUE_SHOWN_MAX {
        true => format!("{number} {many} or more"),
        false => output::count(number as u64, one, many),
    };
    match (queues.removals, queues.deletions) {
        (0, 0) => "nothing".into(),
        (files, objects) => format!("{}, {}", shown(files, "file", "files"), shown(objects, "object", "objects")),
    }
}

fn to_upload(folders: &[NotUploaded]) -> String {
    let sum = |of: fn(&NotUploaded) -> u64| folders.iter().map(of).sum::<u64>();
    match sum(|folder| folder.objects) {
        0 => "nothing".into(),
        objects => {
            let objects = output::count(objects, "object", "objects");
            format!("{} in {objects}", ByteCount(sum(|folder| folder.bytes)))
        }
    }
}

fn folder_rows(folders: &[NotUploaded]) -> Vec<Vec<String>> {
    let mut rows = vec![["NOT UPLOADED", "HOST", "FOLDER", "MOUNT POINT"].map(str::to_owned).to_vec()];
    let waiting = folders.iter().filter(|folder| folder.objects > 0);
    rows.extend(waiting.map(|folder| {
        let NotUploaded { host, path, mount_point, bytes, .. } = folder;
        vec![ByteCount(*bytes).to_string(), host.clone(), path.clone(), mount_point.clone()]
    }));
    rows
}

fn request_rows(requests: &Requests) -> Vec<Vec<String>> {
    let mut rows = vec![
        ["REQUESTS", "NUMBER", "FAILED", "GIVEN UP", "BYTES", "HALF WITHIN", "99 % WITHIN"].map(str::to_owned).to_vec(),
    ];
    for (kind, figures) in [("put", &requests.put), ("get", &requests.get), ("delete", &requests.delete)] {
        rows.push(vec![
            kind.to_owned(),
            figures.requests.to_string(),
            figures.failed.to_string(),
            figures.given_up.to_string(),
            ByteCount(figures.bytes).to_string(),
            milliseconds(figures.half_within_us),
            milliseconds(figures.most_within_us),
        ]);
    }
    rows
}

fn milliseconds(microseconds: u64) -> String {
    match microseconds {
        0 => "-".into(),
        10_000.. => format!("{} ms", microseconds.div_ceil(1000)),
        _ => format!("{:.1} ms", microseconds as f64 / 1000.0),
    }
}

fn session_rows(sessions: &[(SessionInfo, Life)]) -> Vec<Vec<String>> {
    let now = clock::now();
    let head = ["SESSION", "STATE", "HOST", "PID", "SINCE", "HEARTBEAT", "OPEN REMOVED", "MOUNT POINT"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(sessions.iter().map(|(info, life)| {
        let record = &info.record;
        vec![
            info.session.to_string(),
            match life {
                Life::Alive => "alive".into(),
                Life::Gone => "gone".into(),
                Life::Silent => "silent".into(),
            },
            record.host.clone(),
            record.pid.to_string(),
            clock::date(record.started),
            clock::ago(info.heartbeat, now),
            info.sustained.to_string(),
            match record.kind {
                SessionKind::Mount => record.mount_point.clone(),
                SessionKind::Command => "(a command)".into(),
                SessionKind::Watcher => "(watches)".into(),
            },
        ]
    }));
    rows
}

/// Beyond this the queues are not counted out.
const QUEUE_SHOWN_MAX: usize = 1_000_000;
