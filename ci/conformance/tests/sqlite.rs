//! An SQLite database under load on the mount: byte-range locks, fsync, rollback journals, and a write-ahead log in shared
//! memory.

use shoal_ci_conformance::run;
use shoal_ci_testbed::Bed;
use std::path::Path;
use std::process::{Child, Command, Stdio};

#[test]
fn a_database_with_a_rollback_journal_stays_sound_under_several_writers() {
    load_and_check("delete");
}

#[test]
fn a_database_with_a_write_ahead_log_stays_sound_under_several_writers() {
    load_and_check("wal");
}

const WRITERS: usize = 3;
const TRANSACTIONS: usize = 40;
const ROWS: usize = 25;

fn load_and_check(journal: &str) {
    let bed = Bed::new(&[]);
    let daemon = bed.mount(&[]);
    let database = bed.mount_point().join("load.db");
    sqlite(&database, &format!("PRAGMA journal_mode={journal}; CREATE TABLE t(id INTEGER PRIMARY KEY, writer, text);"));
    let writers: Vec<Child> = (0..WRITERS).map(|writer| start(&database, writer)).collect();
    for mut writer in writers {
        assert!(writer.wait().expect("a child can be waited for").success());
    }
    let check = || {
        assert_eq!(sqlite(&database, "PRAGMA integrity_check;"), "ok\n");
        assert_eq!(sqlite(&database, "SELECT count(*) FROM t;"), format!("{}\n", WRITERS * TRANSACTIONS * ROWS));
    };
    check();
    assert!(daemon.stop().success(), "{}", bed.log());
    let daemon = bed.mount(&[]);
    check();
    assert!(daemon.stop().success(), "{}", bed.log());
    bed.check();
}

fn start(database: &Path, writer: usize) -> Child {
    let rows = format!("INSERT INTO t(writer, text) VALUES({writer}, hex(randomblob(300)));").repeat(ROWS);
    let script = format!("BEGIN IMMEDIATE; {rows} COMMIT;").repeat(TRANSACTIONS);
    let script_file = database.with_file_name(format!("script-{writer}"));
    std::fs::write(&script_file, format!(".timeout 60000\n.bail on\n{script}")).expect("write");
    let input = std::fs::File::open(&script_file).expect("just written");
    Command::new("sqlite3").arg(database).stdin(input).stdout(Stdio::null()).spawn().expect("sqlite3 starts")
}

fn sqlite(database: &Path, script: &str) -> String {
    run(Command::new("sqlite3").arg(database).arg(script))
}
