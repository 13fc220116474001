//! A disk that fails or is full, at each step that is asked of it: the cache turns itself off or goes on, and has right
//! bytes or none.

use super::dice::Dice;
use super::work::{Met, Truth, work};
use super::*;
use crate::fault::{Step, fail};
use rustix::io::Errno;
use std::cell::Cell;
use std::rc::Rc;

const STEPS: [Step; 8] = [
    Step::Open,
    Step::Create,
    Step::List,
    Step::Unlink,
    Step::ReadData,
    Step::WriteData,
    Step::ReadIndex,
    Step::WriteIndex,
];

/// What became of a mount on a disk on which every `one_in`th `step` ended with `errno`.
struct Outcome {
    faults: u64,
    degraded: bool,
    /// After the disk was whole again, for the same mount and for the next.
    later: [Met; 2],
}

fn mount(step: Step, errno: Errno, one_in: u64, seed: u64) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    // Something is there from an earlier run, and room is short.
    let bytes_max = 12 * UNIT_BYTES;
    let work_once = |mut truth: Truth, steps: u64| {
        let cache = open(folder.path(), bytes_max);
        on_shard(move || async move {
            let part = part_of(&cache);
            let met = work(&part, &mut truth, &mut Dice::new(seed), steps, |_| {}).await;
            (truth, met)
        })
    };
    let (mut truth, _) = work_once(Truth::default(), 30);
    let cache = open(folder.path(), bytes_max);
    let (truth, faults, degraded, met) = on_shard(move || async move {
        let part = part_of(&cache);
        let (faults, mut chance, mut dice) = (Rc::new(Cell::new(0)), Dice::new(seed + 1), Dice::new(seed + 2));
        let failing = {
            let faults = faults.clone();
            fail(move |met| {
                let fails = met == step && chance.one_in(one_in);
                faults.set(faults.get() + u64::from(fails));
                fails.then_some(errno)
            })
        };
        adopt(&part).await;
        work(&part, &mut truth, &mut dice, 80, |_| {}).await;
        let degraded = part.is_degraded();
        drop(failing);
        let met = work(&part, &mut truth, &mut dice, 60, |_| {}).await;
        assert!(part.usage() <= bytes_max || degraded);
        (truth, faults.get(), degraded, met)
    });
    let (_, next) = work_once(truth, 60);
    Outcome { faults, degraded, later: [met, next] }
}

#[test]
fn an_error_of_the_disk_turns_the_cache_off_and_gives_nobody_wrong_bytes() {
    for step in STEPS {
        for (seed, one_in) in [(1, 1), (2, 4), (3, 20)] {
            let outcome = mount(step, Errno::IO, one_in, seed);
            assert!(outcome.degraded || outcome.faults == 0, "{step:?}");
            assert!(outcome.faults > 0 || one_in > 1, "{step:?} is never asked for");
            assert!(outcome.later[1].hits > 0, "{step:?}: the next mount has a cache again");
        }
    }
}

#[test]
fn a_full_disk_is_no_failing_one_and_the_cache_goes_on_when_there_is_room() {
    for step in [Step::Create, Step::WriteData, Step::WriteIndex] {
        for errno in [Errno::NOSPC, Errno::DQUOT] {
            for (seed, one_in) in [(1, 1), (2, 4)] {
                let outcome = mount(step, errno, one_in, seed);
                assert!(!outcome.degraded && outcome.faults > 0, "{step:?}");
                assert!(outcome.later.iter().all(|met| met.hits > 0), "{step:?}: {:?}", outcome.later);
            }
        }
    }
}

/// A reader on another shard can't turn the cache off; the owner learns of it when the miss comes to it.
#[test]
fn an_error_that_a_reader_meets_is_known_to_the_owner() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path(), 1 << 30);
    on_shard(move || async move {
        let part = part_of(&cache);
        let file = part.open_file(INO);
        fill(&part, &file, 0, 1, 2).await;
        let failing = fail(|step| (step == Step::ReadData).then_some(Errno::IO));
        assert_eq!(read(&file, 0, UNIT).await, None);
        assert!(!part.is_degraded());
        drop(failing);
        part.verify_units(&file, 0, 0b11).await;
        assert!(part.is_degraded());
    });
}
