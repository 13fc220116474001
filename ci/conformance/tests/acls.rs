//! POSIX access control lists by the programs of Debian's `acl` package, on a mount and beside it.

use shoal_ci_conformance::Twins;

const LISTS: &[(&str, &str)] = &[
    ("a file without a list shows its mode", "touch f; getfacl f; getfattr -d -m - f; try getfattr -n system.posix_acl_access f"),
    ("named users and groups, and the mask they bring", "touch f; setfacl -m u:65534:rw,g:4242:r f; getfacl -n f; mode f"),
    ("the mask is the mode's group", "touch f; setfacl -m u:1:rwx,m::r f; mode f; chmod g+w f; getfacl -n f; chmod 700 f; getfacl -n f"),
    ("a list of no more than the mode becomes the mode", "touch f; setfacl -m u:1:rwx f; setfacl -b f; getfacl f; mode f; getfattr -d -m - f
      setfacl -m u::rwx,g::rx,o::x f; mode f; getfattr -d -m - f"),
    ("a default list is for directories alone", "touch f; mkdir d; try setfacl -d -m u:1:r f; setfacl -d -m u:1:r d; getfacl -n d; setfacl -k d; getfacl -n d
      setfacl -k d; getfattr -d -m - d"),
    ("new files take the default list in place of the umask", "mkdir d; setfacl -d -m u:1:rwx,g::rwx,o::r d; umask 077; touch d/f; mkdir d/e; mkfifo d/p; ln -s t d/s
      getfacl -n d/f d/e d/p; mode d/*; touch d/e/f; getfacl -n d/e/f"),
    ("a default list of no more than a mode", "mkdir d; setfacl -d -m u::rwx,g::rwx,o::rwx d; umask 077; touch d/f; mkdir d/e; mode d/f d/e; getfacl d/f d/e; getfattr -d -m - d/f d/e"),
    ("without a default list the umask counts", "mkdir d; setfacl -m u:1:rwx d; umask 027; touch d/f; mkdir d/e; mkfifo d/p; mode d/*; getfattr -d -m - d/f"),
    ("the creating mode bounds a default list", "mkdir d; setfacl -d -m u:1:rwx,m::rwx d; umask 0; install -m 600 /dev/null d/f; getfacl -n d/f; mkdir -m 710 d/e; getfacl -n d/e
      sh -c 'umask 0; : > d/g'; getfacl -n d/g"),
    ("setgid comes down beside the list", "mkdir d; chgrp 4242 d; chmod 2775 d; setfacl -d -m u:1:rwx d; touch d/f; mkdir d/e; mode d/f d/e; getfacl -n d/e"),
    ("lists let users in and keep them out", "echo secret > f; chmod 600 f; try as_user cat f; setfacl -m u:65534:r f; as_user cat f; try as_user sh -c 'echo x > f'
      setfacl -m u:65534:rw f; as_user sh -c 'echo new > f'; cat f; chmod 604 f; try as_user cat f; setfacl -m u:65534:- f; try as_user cat f"),
    ("the mask keeps them out too", "echo secret > f; setfacl -m u:65534:rw,m::- f; try as_user cat f; setfacl -m m::r f; as_user cat f"),
    ("groups of a user count", "echo secret > f; chmod 600 f; try as_member cat f; setfacl -m g:4242:r f; as_member cat f; try as_user cat f"),
    ("search and list permission of directories", "mkdir d; echo x > d/f; chmod 700 d; try as_user cat d/f; setfacl -m u:65534:x d; as_user cat d/f; try as_user ls d; setfacl -m u:65534:rx d
      as_user ls d; try as_user touch d/g; setfacl -m u:65534:rwx d; as_user touch d/g; ls d"),
    ("only the owner sets lists", "touch f g; chmod 666 f; try as_user setfacl -m u:1:r f; chown 65534 g; as_user setfacl -m u:1:r g; getfacl -n g; try as_user setfacl -b f"),
    ("a list set by who is not of the group takes setgid away", "touch f; chown 65534:4242 f; chmod 2755 f; as_user setfacl -m u:1:r f; mode f; chown 65534:4242 f; chmod 2755 f; as_member setfacl -m u:2:r f; mode f
      chmod 2755 f; setfacl -m u:3:r f; mode f"),
    ("what is no valid list is refused", "touch f; for v in 0x 0x02000000 0x0100000001000700ffffffff 0x0200000001000700ffffffff 0x02000000ff000700ffffffff 0x020000000100 \
      0x0200000001000900ffffffff04000500ffffffff20000500ffffffff; do echo $v; try setfattr -n system.posix_acl_access -v $v f; done; getfacl f; getfattr -d -m - f"),
    ("lists and their change time", "touch -d 2001-01-01 f; b=$(stat -c %z f); setfacl -m u:1:r f; [ \"$(stat -c %z f)\" = \"$b\" ] || echo moved; stat -c %y f
      b=$(stat -c %z f); setfacl -m u:2:r f; [ \"$(stat -c %z f)\" = \"$b\" ] || echo moved; b=$(stat -c %z f); setfacl -b f; [ \"$(stat -c %z f)\" = \"$b\" ] || echo moved"),
    ("symlinks have none", "ln -s t s; try setfattr -h -n system.posix_acl_access -v 0x0200000001000700ffffffff04000500ffffffff20000500ffffffff s; try getfattr -h -n system.posix_acl_access s"),
    ("they go with hard links, renames and copies", "touch f; setfacl -m u:1:rw f; ln f g; mv f h; getfacl -n g h; cp -p g c; getfacl -n c; mkdir d; setfacl -d -m u:1:rw d; cp -a d e; getfacl -n e"),
    ("setuid programs' bits go with a write through a list", "echo x > f; chmod 6755 f; setfacl -m u:65534:rwx f; as_user sh -c 'echo y >> f'; mode f; getfacl -n f"),
    ("chown keeps the list", "touch f; setfacl -m u:1:rwx f; chown 5:6 f; getfacl -n f"),
];

#[test]
fn lists_are_kept_and_obeyed_as_on_a_local_file_system() {
    let twins = Twins::new(&[]);
    twins.compare(LISTS);
    twins.end();
}

#[test]
fn without_lists_nobody_sees_or_sets_any_and_modes_alone_count() {
    let bed = shoal_ci_testbed::Bed::new(&[]);
    let run = |script: &str| {
        let mut command = std::process::Command::new("sh");
        let output = command.args(["-c", script]).current_dir(bed.mount_point()).env("LC_ALL", "C").output();
        let output = output.expect("there is a shell");
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    let daemon = bed.mount(&[]);
    assert_eq!(
        run("touch f; setfacl -m u:1:rw f; getfacl -cn f"),
        "user::rw-\nuser:1:rw-\ngroup::r--\nmask::rw-\nother::r--\n\n"
    );
    assert!(daemon.stop().success(), "{}", bed.log());
    let daemon = bed.mount(&["-o", "noacl"]);
    assert_eq!(run("getfacl -cn f; getfattr -d -m - f"), "user::rw-\ngroup::rw-\nother::r--\n\n");
    assert_eq!(run("setfacl -m u:2:rw f"), "setfacl: f: Operation not supported\n");
    assert!(daemon.stop().success(), "{}", bed.log());
    bed.check();
}
