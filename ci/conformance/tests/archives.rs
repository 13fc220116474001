//! Trees with everything a name can have, carried to a mount and back by rsync and tar.

use shoal_ci_conformance::{Twins, run};
use std::path::Path;
use std::process::Command;

/// Every kind of file, hard links, ACLs of both kinds, attributes, set-id bits, holes, odd names and times.
const MAKE: &str = r"
mkdir -p tree/sub/deep tree/empty; cd tree
echo content > file; ln file sub/second; ln file sub/deep/third; ln -s file link; ln -s nowhere dangling
mkfifo fifo; truncate -s 3M sparse; printf x | dd of=sparse bs=1 seek=1000000 conv=notrunc status=none
printf y > 'sub/a name  with spaces'; printf z > 'sub/\backslash'; : > sub/$(printf 'n\303\244me')
setfattr -n user.comment -v 'some text' file; setfattr -n user.empty sub; setfattr -n user.binary -v 0x00ff00 sub/deep
setfacl -m u:1:rw,g:2:r file; setfacl -m u:3:rwx,d:u:4:rx,d:g:5:- sub
touch -d '1960-05-05 05:05:05.123456789' file; touch -d '2100-01-01 00:00:00.000000001' 'sub/a name  with spaces'
if [ $(id -u) = 0 ]; then
  mknod device c 1 3; mknod block b 7 9; chown 10:20 sub/deep; chown -h 11:21 link; cp /bin/true setuid; chown 12:22 setuid
  chmod 6755 setuid; setfattr -n trusted.t -v 1 sub; setfattr -h -n trusted.link -v 2 link
  setfattr -n security.capability -v 0x0100000200040000000000000000000000000000 sub/deep/third
fi
# rsync leaves times alone that are of the same second.
find . ! -type d ! -samefile file ! -name 'a name*' -exec touch -h -d '2003-03-03 03:03:03.333333333' {} +
touch -d 2002-02-02 sub sub/deep empty .
";

/// One line an entry: everything but inode numbers and change times.
const TELL: &str = r"
cd tree; find . -printf '%P %y %m %U:%G %n %s %T@ %l\n' | sed '/ d /s/ [0-9]* \([-0-9.]* $\)/ \1/' | sort
find . -print0 | sort -z | xargs -0 getfattr -h -d -m - -e hex | md5sum
find . ! -type l -print0 | sort -z | xargs -0 getfacl -n -p | md5sum
find . -type f -print0 | sort -z | xargs -0 md5sum; find . -samefile file | sort
";

fn sh(folder: &Path, script: &str) -> String {
    run(Command::new("bash").args(["-ec", script]).current_dir(folder).env("LC_ALL", "C"))
}

/// To the mount with one command, back from there with another, and what was there in between.
#[track_caller]
fn there_and_back(copy: &str) {
    let twins = Twins::new(&[]);
    let [local, mounted] = twins.folders();
    sh(&local, MAKE);
    let expected = sh(&local, TELL);
    let carry = |from: &Path, to: &Path| {
        run(Command::new("bash").args(["-ec", copy, "copy"]).args([from, to]).env("LC_ALL", "C"));
    };
    carry(&local, &mounted);
    assert_eq!(sh(&mounted, TELL), expected, "on the mount");
    let back = local.join("back");
    std::fs::create_dir(&back).expect("mkdir");
    carry(&mounted, &back);
    assert_eq!(sh(&back, TELL), expected, "back again");
    twins.end();
}

#[test]
fn rsync_takes_a_tree_there_and_back() {
    there_and_back(
        "rsync -aHAX --sparse \"$1/tree\" \"$2/\"; test -z \"$(rsync -aHAXn --itemize-changes \"$1/tree\" \"$2/\")\"",
    );
}

#[test]
fn tar_takes_a_tree_there_and_back() {
    there_and_back(
        "tar -C \"$1\" --xattrs --xattrs-include='*' --acls --sparse --format=posix -cf - tree |
         tar -C \"$2\" --xattrs --xattrs-include='*' --acls --numeric-owner -xpf -",
    );
}

#[test]
fn a_clone_is_what_its_source_is() {
    let twins = Twins::new(&[]);
    let [_, mounted] = twins.folders();
    sh(&mounted, MAKE);
    let expected = sh(&mounted, TELL);
    twins.shoal(&["clone".as_ref(), mounted.join("tree").as_os_str(), mounted.join("copy").as_os_str()]).expect_code(0);
    sh(&mounted, "mv tree other; mv copy tree");
    assert_eq!(sh(&mounted, TELL), expected);
    twins.end();
}

#[test]
fn cp_takes_a_tree_there_and_back() {
    there_and_back("cp -a \"$1/tree\" \"$2/\"");
}
