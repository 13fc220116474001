//! Extended attributes by the programs of Debian's `attr` package, on a mount and beside it.

use shoal_ci_conformance::Twins;

/// Names, values and namespaces, on every kind of inode.
const VALUES: &[(&str, &str)] = &[
    (
        "set, get, list, remove",
        "touch f; setfattr -n user.a -v 1 f; setfattr -n user.b -v 'two words' f; getfattr -d f; getfattr -n user.a f
         setfattr -x user.a f; getfattr -d f; try setfattr -x user.a f; try getfattr -n user.a f",
    ),
    ("an empty value is a value", "touch f; setfattr -n user.empty f; getfattr -d f; getfattr -n user.empty f"),
    ("a value is replaced", "touch f; setfattr -n user.a -v 1 f; setfattr -n user.a -v longer f; getfattr -d f"),
    ("on a directory", "mkdir d; setfattr -n user.a -v 1 d; getfattr -d d; rmdir d; mkdir d; getfattr -d d"),
    (
        "user attributes are for files and directories alone",
        "ln -s nowhere s; mkfifo p; try setfattr -h -n user.a -v 1 s; try setfattr -n user.a -v 1 p
         try getfattr -h -n user.a s; try getfattr -n user.a p",
    ),
    (
        "other namespaces are for all",
        "ln -s nowhere s; mkfifo p; mknod c c 1 3
         for f in s p c; do try setfattr -h -n trusted.a -v 1 $f; getfattr -h -d -m - $f; done",
    ),
    (
        "unknown namespaces",
        "touch f; for n in nothing.a system.other system.nfs4_acl user. trusted. a; do
         try setfattr -n $n -v 1 f; try getfattr -n $n f; try setfattr -x $n f; done",
    ),
    (
        "names have 255 bytes at most",
        "touch f; n=$(printf 'user.%0250d' 0); setfattr -n $n -v 1 f; getfattr -d f; try setfattr -n ${n}0 -v 1 f
         try getfattr -n ${n}0 f",
    ),
    (
        "they go with hard links and renames",
        "touch f; setfattr -n user.a -v 1 f; ln f g; mv f h; getfattr -d g h; cp --preserve=xattr g copy; getfattr -d copy",
    ),
    (
        "trusted ones are hidden from users",
        "touch f; chmod 666 f; setfattr -n trusted.a -v 1 f; setfattr -n user.a -v 1 f; as_user getfattr -d -m - f
         try as_user getfattr -n trusted.a f; try as_user setfattr -n trusted.b -v 1 f; getfattr -d -m - f",
    ),
    (
        "a user needs write permission to set and read permission to get",
        "touch f; chmod 644 f; setfattr -n user.a -v 1 f; try as_user setfattr -n user.b -v 1 f; as_user getfattr -d f
         chmod 600 f; try as_user getfattr -n user.a f; chmod 666 f; as_user setfattr -n user.b -v 2 f; getfattr -d f",
    ),
    (
        "in a sticky directory only its owner sets them on it",
        "mkdir d; chmod 1777 d; try as_user setfattr -n user.a -v 1 d; chmod 777 d; as_user setfattr -n user.a -v 1 d
         getfattr -d d",
    ),
    (
        "setting and removing moves the change time alone",
        "touch -d 2001-01-01 f; before=$(stat -c '%X %Y %z' f); setfattr -n user.a -v 1 f
         [ \"$(stat -c '%X %Y' f)\" = \"${before% * * *}\" ] && echo kept; [ \"$(stat -c '%X %Y %z' f)\" = \"$before\" ] || echo moved
         before=$(stat -c %z f); setfattr -x user.a f; [ \"$(stat -c %z f)\" = \"$before\" ] || echo moved",
    ),
];

/// What a write, a truncation and a change of owner take away.
const PRIVILEGES: &[(&str, &str)] = &[
    (
        "a write by an ordinary user clears set-id bits",
        "for m in 4777 2777 6777 2767 6767 1777; do echo x > f$m; chmod $m f$m; as_user sh -c \"echo y >> f$m\"; mode f$m; done",
    ),
    ("a write by root keeps them", "echo x > f; chmod 6777 f; echo y >> f; mode f"),
    (
        "so do truncations",
        "for m in 4777 2777 6777 6767; do echo x > f$m; chmod $m f$m; as_user truncate -s 0 f$m; mode f$m
         echo x > g$m; chmod $m g$m; as_user sh -c \": > g$m\"; mode g$m; echo x > h$m; chmod $m h$m; truncate -s 0 h$m
         mode h$m; done",
    ),
    (
        "an empty file that is opened to be truncated loses them too",
        "touch f; chmod 6777 f; as_user sh -c ': > f'; mode f",
    ),
    (
        "a direct write by an ordinary user",
        "head -c 8192 /dev/zero > f; chmod 6777 f; as_user dd if=/dev/zero of=f bs=4096 count=1 oflag=direct conv=notrunc status=none; mode f",
    ),
    (
        "a change of owner or group clears them, of directories not",
        "for m in 4755 2755 6755 6711; do echo x > f$m; chmod $m f$m; chown 1:1 f$m; mode f$m; chmod $m f$m; chgrp 2 f$m
         mode f$m; done; mkdir d; chmod 6755 d; chown 1:1 d; mode d",
    ),
    (
        "nobody runs written bytes as somebody else",
        "cp /usr/bin/id f; chmod 4777 f; as_user ./f -u; as_user sh -c 'cat /usr/bin/id > f; ./f -u'; mode f",
    ),
    (
        "the capability goes with a write, whoever writes",
        "c=0x0100000200040000000000000000000000000000; for how in 'echo x >> f' 'truncate -s 1 f' ': > f' 'chown 1 f'
         do rm -f f; echo x > f; setfattr -n security.capability -v $c f; getfattr -d -m - f; sh -c \"$how\"; getfattr -d -m - f; done
         rm -f f; echo x > f; chmod 777 f; setfattr -n security.capability -v $c f; as_user sh -c 'echo x >> f'; getfattr -d -m - f",
    ),
    (
        "other attributes stay",
        "echo x > f; chmod 6777 f; setfattr -n user.a -v 1 f; as_user sh -c 'echo y >> f'; getfattr -d f; mode f",
    ),
];

#[test]
fn values_are_kept_as_a_local_file_system_keeps_them() {
    let twins = Twins::new(&[]);
    twins.compare(VALUES);
    twins.end();
}

#[test]
fn writes_and_new_owners_take_privileges_away() {
    let twins = Twins::new(&[]);
    twins.compare(PRIVILEGES);
    twins.end();
}

#[test]
fn a_mount_without_extended_attributes_says_so() {
    use rustix::fs::{XattrFlags, getxattr, listxattr_query, setxattr};
    let bed = shoal_ci_testbed::Bed::new(&[]);
    let daemon = bed.mount(&["-o", "noxattr"]);
    let file = bed.mount_point().join("f");
    std::fs::write(&file, b"content").expect("written");
    let unsupported = rustix::io::Errno::OPNOTSUPP;
    assert_eq!(getxattr(&file, "user.a", &mut [0u8; 10][..]), Err(unsupported));
    assert_eq!(setxattr(&file, "user.a", b"1", XattrFlags::empty()), Err(unsupported));
    let acl = b"\x02\0\0\0\x01\0\x07\0\xff\xff\xff\xff\x04\0\x05\0\xff\xff\xff\xff\x20\0\x05\0\xff\xff\xff\xff";
    assert_eq!(setxattr(&file, "system.posix_acl_access", acl, XattrFlags::empty()), Err(unsupported));
    assert_eq!(listxattr_query(&file), Err(unsupported));
    assert!(daemon.stop().success(), "{}", bed.log());
}

#[test]
fn what_is_set_is_there_after_the_next_mount() {
    use rustix::fs::{XattrFlags, getxattr, listxattr_query, setxattr};
    let bed = shoal_ci_testbed::Bed::new(&[]);
    let daemon = bed.mount(&[]);
    let file = bed.mount_point().join("f");
    std::fs::write(&file, b"content").expect("written");
    // More than one page of the largest values, and beyond that ext4 has no room.
    let value = |number: usize| vec![number as u8; 64 << 10];
    for number in 0..20 {
        setxattr(&file, format!("user.{number}"), &value(number), XattrFlags::CREATE).expect("set");
    }
    let full = |error: rustix::io::Errno| assert_eq!(error, rustix::io::Errno::NOSPC);
    (20..70)
        .try_for_each(|number| setxattr(&file, format!("user.{number}"), &value(0), XattrFlags::empty()))
        .map_or_else(full, |()| panic!("4 MiB are the bound"));
    assert!(daemon.stop().success(), "{}", bed.log());
    let daemon = bed.mount(&[]);
    for number in 0..20 {
        let mut found = vec![0; 64 << 10];
        assert_eq!(getxattr(&file, format!("user.{number}"), &mut found[..]), Ok(64 << 10));
        assert_eq!(found, value(number));
    }
    assert_eq!(getxattr(&file, "user.1", &mut [0u8; 10][..]), Err(rustix::io::Errno::RANGE));
    assert_eq!(listxattr_query(&file), Ok(10 * "user.0\0".len() + 54 * "user.10\0".len()));
    std::fs::remove_file(&file).expect("removed");
    assert!(daemon.stop().success(), "{}", bed.log());
    bed.check();
}
