//! `shoal fsck --repair`: checks and mends, again and again, until nothing more can be mended.

use crate::clock;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::meta_url::MetaUrl;
use crate::output::{self, count, say};
use crate::progress::Progress;
use crate::sessions;
use shoal_metadata::check::Report;
use shoal_metadata::{MetaError, Metadata, Repair, check};
use shoal_types::Errno;

/// Tells each finding in a line, with what was done about it, or why nothing was; how many are left.
pub fn mend(url: &MetaUrl, metadata: &Metadata) -> Outcome<u64> {
    let ended = sessions::end_dead(metadata)?;
    if ended > 0 {
        say(format_args!("ended {} whose process has died", count(ended, "session", "sessions")));
    }
    if let Some(session) = sessions::alive(metadata)?.first() {
        return Err(in_use(url, &sessions::describe(session)));
    }
    let mut mended = 0;
    for round in 1.. {
        let report = look(url, metadata)?;
        let (now_mended, left) = mend_once(url, metadata, &report)?;
        mended += now_mended;
        if now_mended == 0 || round == ROUNDS_MAX {
            left.iter().try_for_each(output::print)?;
            if mended > 0 {
                say(format_args!("mended {}", count(mended, "finding", "findings")));
            }
            return Ok(left.len() as u64 + report.unlisted);
        }
    }
    unreachable!("the last round returns")
}

/// One pass over the metadata.
pub fn look(url: &MetaUrl, metadata: &Metadata) -> Outcome<Report> {
    let progress = Progress::count("checking the metadata");
    let report = check::run(metadata, &mut |records| progress.set(records));
    report.map_err(|error| Failure::of_metadata(url, &error))
}

fn mend_once(url: &MetaUrl, metadata: &Metadata, report: &Report) -> Outcome<(u64, Vec<String>)> {
    let progress = Progress::bar("mending", report.findings.len() as u64);
    let (mut mended, mut left) = (0, Vec::new());
    for finding in &report.findings {
        progress.add(1);
        let repair = metadata.repair(finding, clock::now()).map_err(|error| match error {
            MetaError::Refused(Errno::EBUSY) => in_use(url, "it has just been mounted"),
            error => Failure::of_metadata(finding, &error),
        })?;
        match repair {
            Repair::Done(how) => {
                output::print(format_args!("{finding}: mended: {how}"))?;
                mended += 1;
            }
            Repair::NotNeeded => {}
            Repair::NotPossible(why) => left.push(format!("{finding}: not mended: {why}")),
        }
    }
    Ok((mended, left))
}

/// Findings that bring up others need a few; more than these would be a mistake of ours.
const ROUNDS_MAX: u32 = 32;

fn in_use(url: &MetaUrl, who: &str) -> Failure {
    Failure::new(Exit::InUse, url, format_args!("the volume is in use: {who}"), "unmount it everywhere first")
}
