//! Views of a mount with other ids (mount_setattr(2), MOUNT_ATTR_IDMAP), as containers use them, on a mount and beside it.

use shoal_ci_conformance::{Twins, View, is_root, run};
use shoal_ci_testbed::Bed;
use std::fs;
use std::path::Path;
use std::process::Command;

const AS_USER: &str = "as() { id=$1; shift; setpriv --reuid=$id --regid=$id --clear-groups -- \"$@\"; }\n";

const SCRIPTS: [(&str, &str); 7] = [
    (
        "owners are mapped both ways",
        "touch disk/roots; touch disk/users; chown 7:8 disk/users; touch disk/unmapped; chown 5000:5000 disk/unmapped
         mode view/*; chmod 777 view; as 1003 touch view/new; as 1003 mkdir view/dir; as 1003 ln -s t view/link
         as 1003 mkfifo view/fifo; mode disk/new disk/dir disk/link disk/fifo; mode view/new
         try as 5 touch view/unmapped-caller; try touch view/roots-new; ls disk",
    ),
    (
        "who may do what is decided in the view",
        "install -m 600 /dev/null disk/roots; try as 1001 sh -c 'echo a > view/roots'; cat disk/roots
         try as 1002 sh -c 'echo b > view/roots'; try as 1002 cat view/roots; as 1001 chmod 640 view/roots; mode disk/roots
         try as 1002 chmod 666 view/roots; try as 1001 rm view/roots; chmod 777 disk; as 1001 rm view/roots; ls disk",
    ),
    (
        "chown takes the view's ids",
        "touch disk/f; chown 1004:1005 view/f; mode disk/f view/f; try chown 5 view/f; mode disk/f
         as 1004 chgrp 1004 view/f || true; mode disk/f",
    ),
    (
        "set-id bits fall when others write",
        "touch disk/f; chmod 6777 disk/f; as 1002 sh -c 'echo a >> view/f'; mode disk/f; chmod 6777 disk/f; echo b >> view/f
         mode disk/f; chmod 6777 disk/f; as 1001 truncate -s 1 view/f; mode disk/f; chmod 6777 disk/f
         as 1002 fallocate -l 100 view/f; mode disk/f; mkdir disk/d; chmod 2777 disk/d; chgrp 6 disk/d
         as 1002 touch view/d/f; mode disk/d/f",
    ),
    (
        "the sticky bit protects by the view's owners",
        "chmod 1777 disk; touch disk/roots; chown 1 disk/roots; as 1003 touch view/mine; try as 1003 rm -f view/roots
         try as 1003 mv view/roots view/x; as 1003 mv view/mine view/y; as 1002 rm view/roots; ls disk",
    ),
    (
        "access control lists are mapped",
        "touch disk/f; chmod 600 disk/f; setfacl -m u:7:rw,g:8:r disk/f; getfacl -nc view/f; as 1008 sh -c 'echo a > view/f'
         cat disk/f; try as 7 cat view/f; setfacl -m u:1010:r view/f; getfacl -nc disk/f; mkdir disk/d
         setfacl -d -m u:9:rwx disk/d; touch view/d/n 2>/dev/null || as 1001 touch view/d/n; getfacl -nc disk/d/n view/d/n",
    ),
    (
        "a rename leaves names and owners in the view",
        "chmod 777 disk; as 1003 touch view/a; as 1003 mv view/a view/b; as 1003 ln view/b view/c; mode disk/*
         as 1003 cp -p view/b view/d; mode disk/d; as 1003 setfattr -n user.a -v b view/b; getfattr -d disk/b",
    ),
];

/// `disk`, and `view`, in which user 0 of the disk is 1001, and so on.
fn view_in(folder: &Path) -> View {
    let [disk, view] = ["disk", "view"].map(|name| folder.join(name));
    for place in [&disk, &view] {
        fs::create_dir(place).expect("a new folder takes another");
    }
    View::new(&disk, &view, 1001, 1000).expect("it can be idmapped")
}

#[test]
fn an_idmapped_view_is_as_one_of_a_local_file_system() {
    if !is_root() {
        return;
    }
    let twins = Twins::new(&["--allow-idmap"]);
    let scripts = SCRIPTS.map(|(name, script)| (name, format!("{AS_USER}{script}")));
    twins.compare_with(&scripts.each_ref().map(|(name, script)| (*name, script.as_str())), view_in);
    twins.end();
}

/// They are the host's to give: those of the view's user 0 are not.
#[test]
fn limits_bind_whoever_is_not_the_hosts_superuser() {
    if !is_root() {
        return;
    }
    let bed = Bed::new(&[]);
    let mount = bed.mount(&["--allow-idmap", "--allow-other"]);
    bed.shoal(&["quota", "set", &bed.url(), "--user", "0", "--capacity", "1M"]).expect_code(0);
    let folder = mount.mount_point().join("d");
    fs::create_dir(&folder).expect("a new folder");
    let view = view_in(&folder);
    let script = "cd \"$1\"; chmod 755 . ..; chmod 777 disk; head -c 4M /dev/zero > disk/roots || echo root is refused
        setpriv --reuid=1001 --regid=1001 --clear-groups sh -c 'head -c 4M /dev/zero > view/users' 2>&1 || echo refused";
    let told = run(Command::new("sh").args(["-c", script, "limits"]).arg(&folder));
    drop(view);
    assert!(told.contains("Disk quota exceeded") && told.ends_with("refused\n"), "{told}");
    assert!(!told.contains("root is refused"), "{told}");
    assert!(mount.stop().success(), "{}", bed.log());
    bed.check();
}
