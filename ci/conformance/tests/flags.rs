//! The flags of chattr(1) and lsattr(1), and what they forbid. What is expected stands here; it's asked of a mount, and of
//! a plain folder of this machine if that lies on ext4, except where a mount is stricter or the kernel knows less.

use shoal_ci_conformance::{Mapping, Twins, is_root};
use shoal_ci_testbed::Bed;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::process::Command;

/// Beside what `Twins` defines: the letters of the flags, and whether something is refused with EPERM.
const PRELUDE: &str = "
flags() { for file; do letters=$(lsattr -d \"$file\" | cut -d' ' -f1 | tr -d 'e-'); echo \"$file [$letters]\"; done; }
can() { if said=$(\"$@\" 2>&1); then echo \"$1: done\"
    elif echo \"$said\" | grep -q 'Operation not permitted'; then echo \"$1: refused\"
    else echo \"$1: $said\"; fi; }
";

struct Case {
    name: &'static str,
    script: &'static str,
    expected: &'static str,
}

const CASES: &[Case] = &[
    Case {
        name: "lsattr shows what chattr has set",
        script: "touch f; mkdir d; flags f d; chattr +sucSdAt f; chattr =SDTdA d; flags f d; chattr -sucSdt f; chattr = d
                 flags f d; chattr +i f; flags f; chattr -i f; chattr +a f; flags f; chattr -a f; flags f",
        expected: "f [] d [] f [suSdAct] d [SDdAT] f [A] d [] f [iA] f [aA] f [A]",
    },
    Case {
        name: "the flags stay with the inode",
        script: "touch f; chattr +dA f; ln f g; mv f h; flags g h; mkdir d; chattr +d d; touch d/f; mv d/f x; flags x",
        expected: "g [dA] h [dA] x [d]",
    },
    Case {
        name: "what is made inherits all but protection, and files nothing that is about directories",
        script: "mkdir d; chattr +sucSdAtDTa d; touch d/f; mkdir d/e; flags d/f d/e; chattr -a d; cp d/f d/g; flags d/g
                 chattr = d; cp -a d/f h; flags h",
        expected: "d/f [suSdAct] d/e [suSDdAct] d/g [suSdAct] h []",
    },
    Case {
        name: "an immutable file is read and nothing else",
        script: "echo content > f; setfattr -n user.a -v 1 f; chattr +i f
                 can sh -c 'echo x > f'; can sh -c 'echo x >> f'; can sh -c ': <> f'; can truncate -s 1 f; can truncate -s 99 f
                 can chmod 600 f; can chown 1 f; can touch f; can touch -d 2001-01-01 f; can setfattr -n user.b -v 1 f
                 can setfattr -x user.a f; can setfacl -m u:1:r f; can fallocate -l 9999 f; can ln f g; can mv f g
                 can rm -f f; touch g; can mv -f g f; can chattr +A f; can chattr +i f; cat f; getfattr --only-values -n user.a f; echo
                 chattr -i f; can rm -f f; ls",
        expected: "sh: refused sh: refused sh: refused truncate: refused truncate: refused chmod: refused \
                   chown: refused touch: refused touch: refused setfattr: refused setfattr: refused \
                   setfacl: refused fallocate: refused ln: refused mv: refused rm: refused mv: refused \
                   chattr: refused chattr: done content 1 rm: done g",
    },
    Case {
        name: "an append-only file grows",
        script: "echo content > f; setfattr -n user.a -v 1 f; chattr +a f
                 can sh -c 'echo x > f'; can sh -c ': <> f'; can truncate -s 1 f; can truncate -s 99 f
                 can sh -c 'echo more >> f'; can dd if=/dev/null of=f oflag=append; can touch f; can touch -d 2001-01-01 f; can touch -a f; can chmod 600 f
                 can chown 1 f; can setfattr -n user.b -v 1 f; can setfattr -x user.a f; can setfacl -m u:1:r f
                 can ln f g; can mv f g; can rm -f f; touch g; can mv -f g f; can chattr +A f; cat f; flags f
                 chattr -a f; can rm -f f; ls",
        expected: "sh: refused sh: refused truncate: refused truncate: refused sh: done dd: refused touch: done \
                   touch: refused touch: refused chmod: refused chown: refused setfattr: refused \
                   setfattr: refused setfacl: refused ln: refused mv: refused rm: refused mv: refused \
                   chattr: done content more f [aA] rm: done g",
    },
    Case {
        name: "an immutable directory keeps its names",
        script: "mkdir d d/e d/full; touch d/f d/full/f o; chattr +i d
                 can touch d/n; can mkdir d/n; can ln -s t d/n; can mkfifo d/n; can ln o d/n; can mv o d/n; can rm -f d/f
                 can rmdir d/e; can mv d/f d/n; can mv d/f n; can mv -f o d/f; can mv -T d x; can rmdir d; can chmod 700 d
                 can sh -c 'echo x > d/f'; can touch d/full/n; cat d/f; ls d
                 chattr -i d; can touch d/n; can rm -r d; ls",
        expected: "touch: refused mkdir: refused ln: refused mkfifo: refused ln: refused mv: refused rm: refused \
                   rmdir: refused mv: refused mv: refused mv: refused mv: refused rmdir: refused chmod: refused \
                   sh: done touch: done x e f full touch: done rm: done o",
    },
    Case {
        name: "an append-only directory gains names",
        script: "mkdir d d/e; touch d/f o p; chattr +a d
                 can touch d/n; can mkdir d/m; can ln -s t d/s; can ln o d/l; can mv p d/p; can rm -f d/f; can rmdir d/e
                 can mv d/f d/x; can mv d/f x; can mv -f o d/f; can mv -T d x; can touch d; can chmod 700 d; ls d
                 chattr -a d; can rm -r d; ls",
        expected: "touch: done mkdir: done ln: done ln: done mv: done rm: refused rmdir: refused mv: refused \
                   mv: refused mv: refused mv: refused touch: done chmod: refused e f l m n p s rm: done o",
    },
    Case {
        name: "an empty directory that is protected is not removed or replaced",
        script: "for flag in i a; do mkdir d n; chattr +$flag d; can rmdir d; can mv -T n d; chattr -$flag d; rmdir d n; done
                 mkdir d; touch d/f; chattr +i d; can rmdir d; chattr -i d",
        expected: "rmdir: refused mv: refused rmdir: refused mv: refused rmdir: refused",
    },
    Case {
        name: "reading a file or directory with the flag for it leaves the access time",
        script: "mkdir d e; echo x > f; echo x > g; touch d/x e/x; chattr +A f d; touch -a -d 2001-01-01 f g d e
                 for file in f g; do dd if=$file of=read iflag=direct bs=4096 status=none; done; ls d e > read
                 for file in f g d e; do stat -c %x $file | cut -c1-4 | sed 's/2001/kept/; s/^2.*/moved/'; done
                 touch -a -d 2005-05-05 f; stat -c %x f | cut -c1-4",
        expected: "kept moved kept moved 2005",
    },
    Case {
        name: "owners set what protects nothing, and nobody else sets anything",
        script: "touch f g; chown 65534 f; chattr +i g
                 can as_user chattr +A f; can as_user chattr +i f; can as_user chattr +a f; can as_user chattr +A g
                 can as_user chattr -i g; flags f; chattr -i g",
        expected: "as_user: done as_user: refused as_user: refused as_user: refused as_user: refused f [A]",
    },
    Case {
        name: "flags of directories are for directories, and projects for nobody",
        script: "touch f
                 chattr +DT f 2>&1 | cut -d' ' -f2-4; flags f; try chattr -p 5 f 2> /dev/null; chattr -p 0 f; lsattr -p f | tr -d 'e-'",
        expected: "Operation not supported f [] status 1 0 f",
    },
];

#[test]
fn flags_are_kept_and_forbid_what_they_forbid_on_ext4() {
    if !is_root() {
        return;
    }
    let twins = Twins::new(&[]);
    let [local, mounted] = twins.folders();
    let mut complaints = String::new();
    for folder in [&mounted, &local].into_iter().filter(|folder| **folder == mounted || is_ext4(folder)) {
        for (number, Case { name, script, expected }) in CASES.iter().enumerate() {
            let within = folder.join(number.to_string());
            fs::create_dir(&within).expect("a new folder for each case");
            let printed = twins.print(&within, &format!("{PRELUDE}\n{script}"));
            let printed = printed.split_whitespace().collect::<Vec<_>>().join(" ");
            let expected = format!("{} exit status: 0", expected.split_whitespace().collect::<Vec<_>>().join(" "));
            if printed != expected {
                complaints +=
                    &format!("--- {name}, in {}\nprinted:  {printed}\nexpected: {expected}\n", folder.display());
            }
        }
    }
    assert_eq!(complaints, "");
    twins.end();
}

fn is_ext4(folder: &Path) -> bool {
    const EXT4: i64 = 0xef53;
    rustix::fs::statfs(folder).is_ok_and(|found| found.f_type == EXT4)
}

fn chattr(change: &str, file: &Path) {
    shoal_ci_conformance::run(Command::new("chattr").arg(change).arg(file));
}

/// What was opened before: the plain folder says the same, but that ext4 lets an append-only file be written over.
#[test]
fn who_has_a_file_open_when_it_becomes_immutable_writes_no_more() {
    if !is_root() {
        return;
    }
    let twins = Twins::new(&[]);
    let [local, mounted] = twins.folders();
    for folder in [&mounted, &local].into_iter().filter(|folder| **folder == mounted || is_ext4(folder)) {
        let path = folder.join("f");
        let mut file = writer(&path);
        file.write_all(b"written before").expect("write");
        chattr("+i", &path);
        let refused = |result: std::io::Result<()>| {
            assert_eq!(result.map_err(|error| error.kind()), Err(ErrorKind::PermissionDenied), "{}", folder.display());
        };
        refused(file.write_at(b"x", 0).map(drop));
        refused(file.set_len(3));
        refused(rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, 99).map_err(Into::into));
        file.sync_all().expect("nothing is lost");
        let source = folder.join("source");
        fs::write(&source, b"source").expect("write");
        let source = File::open(&source).expect("open");
        refused(
            rustix::fs::copy_file_range(&source, Some(&mut 0), &file, Some(&mut 0), 6).map(drop).map_err(Into::into),
        );
        assert_eq!(fs::read(&path).expect("read"), b"written before");
        chattr("-i", &path);
        file.write_all_at(b"W", 0).expect("it may be written again");
        chattr("+a", &path);
        file.write_all_at(b" and after", 14).expect("behind the end");
        if *folder == mounted {
            refused(file.write_at(b"x", 0).map(drop));
        }
        let mut log = OpenOptions::new().append(true).open(&path).expect("for appending");
        log.write_all(b" it").expect("append");
        assert_eq!(fs::read(&path).expect("read"), b"Written before and after it");
        chattr("-a", &path);
    }
    twins.end();
}

fn writer(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o644).open(path).expect("open")
}

/// What a mapping has dirtied is written before; what it's given afterwards is not stored, and who syncs it is told.
#[test]
fn a_mapping_of_a_file_that_becomes_immutable_stores_what_it_had_and_no_more() {
    if !is_root() {
        return;
    }
    let bed = Bed::new(&[]);
    let mount = bed.mount(&[]);
    let path = mount.mount_point().join("f");
    fs::write(&path, [b'.'; 4096]).expect("write");
    let file = writer(&path);
    let mut mapping = Mapping::new(&file, 0, 4096, true).expect("mmap");
    mapping.write(0, b"before");
    chattr("+i", &path);
    assert_eq!(mapping.read(0, 6), b"before");
    mapping.write(0, b"after.");
    mapping.sync().expect_err("what can't be stored is told");
    drop((mapping, file));
    assert!(mount.stop().success(), "{}", bed.log());
    let again = bed.mount(&[]);
    assert_eq!(fs::read(&path).expect("read")[..6], *b"before");
    chattr("-i", &path);
    assert!(again.stop().success(), "{}", bed.log());
    bed.check();
}

#[test]
fn flags_that_one_mount_sets_bind_another_and_outlive_both() {
    if !is_root() {
        return;
    }
    let bed = Bed::new(&["--delete-grace", "0s"]);
    let first = bed.mount(&[]);
    let second = bed.mount_second(&[]);
    let [here, there] = [&first, &second].map(|mount| mount.mount_point().to_path_buf());
    fs::create_dir(here.join("d")).expect("mkdir");
    fs::write(here.join("d/f"), b"content").expect("write");
    fs::write(here.join("log"), b"a line\n").expect("write");
    chattr("+i", &here.join("d/f"));
    chattr("+a", &here.join("log"));
    let refused = |result: std::io::Result<()>| {
        assert_eq!(result.map_err(|error| error.kind()), Err(ErrorKind::PermissionDenied));
    };
    let try_all = |at: &Path| {
        refused(fs::write(at.join("d/f"), b"changed"));
        refused(fs::remove_file(at.join("d/f")));
        refused(fs::rename(at.join("d/f"), at.join("x")));
        refused(fs::hard_link(at.join("d/f"), at.join("x")));
        refused(fs::write(at.join("log"), b""));
        refused(fs::remove_file(at.join("log")));
        OpenOptions::new().append(true).open(at.join("log")).expect("open").write_all(b"a line\n").expect("append");
    };
    try_all(&there);
    try_all(&here);
    let rmr = bed.shoal(&["rmr".as_ref(), there.join("d").as_os_str()]);
    assert!(rmr.code != Some(0) && here.join("d/f").exists(), "what is protected stays");
    assert!(second.stop().success(), "{}", bed.log());
    assert!(first.stop().success(), "{}", bed.log());
    let again = bed.mount(&[]);
    let here = again.mount_point().to_path_buf();
    try_all(&here);
    assert_eq!(fs::read(here.join("log")).expect("read").len(), 4 * 7);
    chattr("-i", &here.join("d/f"));
    chattr("-a", &here.join("log"));
    assert!(bed.shoal(&["rmr".as_ref(), here.join("d").as_os_str()]).code == Some(0));
    fs::remove_file(here.join("log")).expect("unlink");
    assert!(again.stop().success(), "{}", bed.log());
    bed.check();
}
