//! Metadata dumped, loaded, and moved between all kinds of stores: the same tree everywhere, in bounded memory.
//!
//! The long form (`SHOAL_LONG=1`) takes a million files, the short one twenty thousand.

use shoal_ci_conformance::{assert_same_tree, copy_tree, is_long, run};
use shoal_ci_servers::{FoundationDb, Mariadb, Postgres, Redis, Server, Tikv};
use shoal_ci_testbed::Bed;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

const MEMORY_MAX: u64 = 300 << 20;

/// The metadata at `url` mounted while `look` does.
fn mounted<T>(bed: &Bed, url: &str, look: impl FnOnce(&Path) -> T) -> T {
    let point = bed.mount_point();
    let paths = [url, &point.to_string_lossy()].map(str::to_owned);
    bed.shoal(&["mount", &paths[0], &paths[1]]).expect_code(0);
    let found = look(&point);
    bed.shoal(&["umount", &paths[1]]).expect_code(0);
    found
}

/// Everything that a look at each name tells, in one number.
fn digest(tree: &Path) -> String {
    let look = "find . -printf '%P %y %m %U:%G %s %n %i %T@ %C@ %l\n' | LC_ALL=C sort | sha256sum";
    run(Command::new("sh").args(["-c", look]).current_dir(tree))
}

#[test]
fn many_files_are_dumped_and_loaded_in_bounded_memory() {
    let (files, doublings) = if is_long() { (1000, 10) } else { (625, 5) };
    let bed = Bed::new(&[]);
    let url = bed.url();
    let before = mounted(&bed, &url, |root| {
        let (tree, copy) = (root.join("tree"), root.join("copy"));
        fs::create_dir_all(tree.join("0")).expect("mkdir");
        for number in 0..files {
            fs::write(tree.join(format!("0/{number}")), format!("small file {number}")).expect("write");
        }
        for number in 1..=doublings {
            bed.shoal(&["clone".as_ref(), tree.as_os_str(), copy.as_os_str()]).expect_code(0);
            fs::rename(&copy, tree.join(number.to_string())).expect("rename");
        }
        digest(root)
    });
    let (dump, copy) = (bed.path("dump").display().to_string(), format!("sqlite://{}", bed.path("copy.db").display()));
    for arguments in [["dump", &url, &dump], ["load", &dump, &copy]] {
        let begin = Instant::now();
        bed.shoal_within(MEMORY_MAX, &arguments).expect_code(0);
        println!("{} took {:?}", arguments[0], begin.elapsed());
    }
    let bytes = |name: &str| bed.path(name).metadata().expect("it is there").len();
    println!(
        "{} files: {} bytes of dump for {} bytes of database",
        files << doublings,
        bytes("dump"),
        bytes("volume.db")
    );
    bed.shoal(&["fsck", &copy]).expect_code(0);
    assert_eq!(mounted(&bed, &copy, digest), before);
}

#[test]
fn a_tree_is_the_same_after_moves_between_all_pairs_of_engines() {
    let (redis, postgres, mariadb) = (Server::start(Redis::default()), Server::start(Postgres), Server::start(Mariadb));
    let foundationdb = Server::start(FoundationDb::default());
    let tikv = Server::start(Tikv::default());
    let bed = Bed::new(&[]);
    let sources = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../engine"));
    let before = mounted(&bed, &bed.url(), |root| {
        copy_tree(sources, &root.join("tree"));
        fs::hard_link(root.join("tree/kv/src/lib.rs"), root.join("again")).expect("link");
        run(Command::new("setfattr").args(["-n", "user.a", "-v", "b"]).arg(root.join("again")));
        run(Command::new("setfacl").args(["-m", "u:1:r"]).arg(root.join("again")));
        fs::write(root.join("large"), vec![7; 5 << 20]).expect("write");
        run(Command::new("chattr").arg("+dA").arg(root.join("large")));
        // The last: nothing of it changes any more.
        run(Command::new("chattr").arg("+i").arg(root.join("again")));
        digest(root)
    });
    let on_sql = [postgres.url("volume"), mariadb.url("volume")];
    let others = [redis.url("volume"), foundationdb.url("volume"), tikv.url("volume")];
    let urls = [&[bed.url()], on_sql.as_slice(), others.as_slice()].concat();
    // Each ordered pair once, each move from where the last one went to.
    let way = [0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 1, 2, 1, 3, 1, 4, 1, 5, 2, 3, 2, 4, 2, 5, 3, 4, 3, 5, 4, 5, 0];
    for step in way.windows(2) {
        let (from, to) = (&urls[step[0]], &urls[step[1]]);
        let begin = Instant::now();
        bed.shoal(&["migrate", from, to]).expect_code(0);
        println!("{from} -> {to} took {:?}", begin.elapsed());
        bed.shoal(&["destroy", from, "--keep-objects", "--yes"]).expect_code(0);
        bed.shoal(&["fsck", to]).expect_code(0);
        assert_eq!(mounted(&bed, to, digest), before, "{from} -> {to}");
    }
    mounted(&bed, &urls[0], |root| {
        assert_same_tree(sources, &root.join("tree"));
        let found = run(Command::new("getfattr").args(["--only-values", "-n", "user.a"]).arg(root.join("again")));
        assert_eq!(found, "b");
        let list = run(Command::new("getfacl").arg("-cn").arg(root.join("again")));
        assert!(list.contains("user:1:r--"), "{list}");
        assert!(fs::read(root.join("large")).expect("read") == vec![7; 5 << 20]);
        let flags = run(Command::new("lsattr").arg("-d").args([root.join("again"), root.join("large")]));
        let letters = |line: &str| line.split(' ').next().map(|letters| letters.replace('-', ""));
        let letters: Vec<_> = flags.lines().filter_map(letters).collect();
        assert_eq!(letters, ["i", "dA"]);
        fs::remove_file(root.join("again")).expect_err("it is immutable");
        // The mark that makes trees be looked through has come along.
        let rmr = bed.shoal(&["rmr".as_ref(), root.join("tree").as_os_str()]);
        assert!(rmr.code != Some(0), "one of its names is in there");
    });
}
