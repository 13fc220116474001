//! Lent files: what a borrower sees, and what may not be done to them meanwhile.

use super::*;
use std::fs::File;
use std::io::Read;

#[test]
fn a_borrower_sees_exactly_the_content_and_nothing_changes_it() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path(), 4 * UNIT_BYTES);
    let length = 2 * UNIT - 1000;
    on_shard(move || async move {
        let part = part_of(&cache);
        let file = part.open_file(INO);
        fill(&part, &file, 0, 1, 2).await;
        let mut lent = File::from(part.lend(&file, length as u64).unwrap());
        let mut seen = Vec::new();
        lent.read_to_end(&mut seen).unwrap();
        assert!(seen == content(1, 2 * UNIT)[..length], "{} bytes", seen.len());

        // New content, and a need for room.
        part.identify(&file, 0, 2);
        part.store(&file, 0, 0, 2, content(2, 2 * UNIT)).await;
        assert_eq!(file.valid_units(0), 0, "it's not stored while the old content is lent");
        let other = part.open_file(Ino(78));
        fill(&part, &other, 0, 1, 2).await;
        fill(&part, &other, 1, 1, 2).await;
        let mut again = Vec::new();
        File::from(rustix::fs::open(file_of(&lent), rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty()).unwrap())
            .read_to_end(&mut again)
            .unwrap();
        assert!(again == seen, "neither overwritten nor evicted");

        part.give_back(&file);
        part.store(&file, 0, 0, 2, content(2, 2 * UNIT)).await;
        assert_eq!(file.valid_units(0), 0b11);
        assert_eq!(read(&file, 0, 2 * UNIT).await.unwrap(), content(2, 2 * UNIT));
    });
}

#[test]
fn only_whole_verified_content_is_lent() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path(), 64 * UNIT_BYTES);
    on_shard(move || async move {
        let part = part_of(&cache);
        let file = part.open_file(INO);
        assert!(part.lend(&file, 1).is_none(), "nothing is cached");
        fill(&part, &file, 0, 1, 2).await;
        assert!(part.lend(&file, 2 * UNIT_BYTES + 1).is_none());
        assert!(part.lend(&file, 0).is_none());
        part.forget_identities(&file);
        assert!(part.lend(&file, 2 * UNIT_BYTES).is_none(), "perhaps it's no longer the file's content");
        part.identify(&file, 0, 1);
        assert!(part.lend(&file, 2 * UNIT_BYTES).is_some());
        part.give_back(&file);
    });
}

#[test]
fn a_file_that_was_cut_for_its_borrower_is_still_cached_in_this_run_and_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let length = UNIT + 5000;
    for run in 0..2 {
        let cache = open(folder.path(), 64 * UNIT_BYTES);
        on_shard(move || async move {
            let part = part_of(&cache);
            let file = part.open_file(INO);
            if run == 0 {
                part.identify(&file, 0, 1);
                part.store(&file, 0, 0, 2, content(1, 2 * UNIT).slice(..length)).await;
                assert!(part.lend(&file, length as u64).is_some());
                part.give_back(&file);
            } else {
                part.identify(&file, 0, 1);
                assert_eq!(part.verify_units(&file, 0, 0b11).await, 0b11);
            }
            assert!(read(&file, 0, length).await.unwrap() == content(1, 2 * UNIT)[..length]);
            assert!(read(&file, (UNIT + 1) as u64, 4999).await.unwrap() == content(1, 2 * UNIT)[UNIT + 1..length]);
        });
    }
}

fn file_of(file: &File) -> PathBuf {
    use std::os::fd::AsRawFd;
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}
