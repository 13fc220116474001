//! Owners, modes and who may do what, by the programs of coreutils, on a mount and beside it.

use shoal_ci_conformance::Twins;

const SCRIPTS: &[(&str, &str)] = &[
    (
        "in a sticky directory only owners remove and rename",
        "mkdir d; chmod 1777 d; touch d/roots; as_user touch d/users; mkdir d/rootdir; as_user mkdir d/userdir
         try as_user rm -f d/roots; try as_user mv d/roots d/x; try as_user rmdir d/rootdir; as_user mv d/users d/y
         as_user mv -f d/y d/users; try as_user mv -fT d/users d/roots; as_user rmdir d/userdir; as_user rm d/users; ls d
         as_user touch d/users; chown 65534 d; try as_user rm -f d/roots; ls d",
    ),
    (
        "only root gives files away, owners change to groups of theirs",
        "touch f; chown 65534:65534 f; try as_user chown 1 f; try as_user chgrp 1 f; as_user chgrp 65534 f; mode f
         as_member chgrp 4242 f; mode f; touch g; chmod 666 g; try as_user chgrp 65534 g; try as_member chown 65534 g; mode g
         as_user chown 65534:65534 f; mode f",
    ),
    (
        "only the owner changes the mode",
        "touch f; chmod 666 f; try as_user chmod 600 f; chown 65534 f; as_user chmod 4750 f; mode f",
    ),
    (
        "who is not of the group loses setgid by chmod, but not on directories of the group",
        "touch f; chown 65534:4242 f; as_user chmod 2755 f; mode f; as_member chmod 2755 f; mode f; mkdir d; chown 65534:4242 d
         as_user chmod 2775 d; mode d; as_member chmod 2775 d; mode d",
    ),
    (
        "times are set by the owner, to now by who may write",
        "touch f; chmod 646 f; try as_user touch -d 2001-01-01 f; as_user touch f; chmod 644 f; try as_user touch f
         chown 65534 f; as_user touch -d 2001-01-01 f; stat -c %Y f; as_user touch -a f; stat -c %Y f",
    ),
    (
        "the group comes from a setgid directory, and so does the bit",
        "mkdir d; chgrp 4242 d; chmod 2777 d; as_user touch d/f; as_user mkdir d/e; as_user mkfifo d/p; as_user ln -s t d/s
         mode d/*; as_user sh -c 'umask 0; mkdir -m 777 d/m; install -m 2755 /dev/null d/i'; mode d/m d/i; as_user touch d/e/g; mode d/e/g",
    ),
    (
        "who is not of that group makes no setgid programs in it",
        "mkdir d; chgrp 4242 d; chmod 2777 d; cat > make.py <<'.'\nimport os, sys\nos.umask(0)\nos.close(os.open(sys.argv[1], os.O_CREAT, 0o2755))\n.\n
         if command -v python3 >/dev/null; then as_user python3 make.py d/f; as_member python3 make.py d/g; mode d/f d/g; fi",
    ),
    (
        "the umask",
        "for u in 000 022 027 077 777; do umask $u; touch f$u; mkdir d$u; mkfifo p$u; : > g$u; ln -s t s$u; done; umask 022; mode *",
    ),
    (
        "special files",
        "mknod c c 1 3; mknod b b 259 70000; mkfifo p; stat -c '%A %t:%T %n' c b p; head -c 4 c | od -c; echo gone > c; try as_user mknod x c 1 3
         as_user true; chmod 777 .; as_user mkfifo q; mode q; try cat b",
    ),
    (
        "search and write permission on the way",
        "mkdir -p a/b; touch a/b/f; chmod 700 a; try as_user cat a/b/f; try as_user ls a; chmod 711 a; as_user cat a/b/f; try as_user ls a
         try as_user touch a/b/new; chmod 777 a/b; as_user touch a/b/new; try as_user rm a/b/../x; try as_user rmdir a/b; ls a/b",
    ),
    (
        "link counts",
        "touch f; ln f g; ln f h; stat -c '%h' f; rm g; stat -c '%h' f; mkdir -p d/1 d/2/3; stat -c '%h %n' d d/1 d/2; rmdir d/1; stat -c %h d
         mv d/2 e; stat -c '%h %n' d e; try ln d l; mkdir x; mv -T x e/3; stat -c %h e",
    ),
    (
        "modes of every bit",
        "touch f; mkdir d; for m in 0 1 7 17 777 1000 2000 4000 7777; do chmod $m f d; mode f d; done",
    ),
    (
        "running and reading as the permissions say",
        "cp /bin/true t; chmod 644 t; try ./t; try as_user ./t; chmod 755 t; as_user ./t && echo ran; chmod 711 t; as_user ./t && echo ran
         try as_user cat t; cp /usr/bin/id i; chown 1:2 i; chmod 6755 i; as_user ./i -u; as_user ./i -g",
    ),
    (
        "access(2) tells the same",
        "touch f; for m in 000 444 222 111 640 604; do chmod $m f; for t in -r -w -x; do as_user test $t f && echo $m $t; test $t f && echo root $m $t; done; done",
    ),
];

#[test]
fn owners_and_modes_rule_as_on_a_local_file_system() {
    let twins = Twins::new(&[]);
    twins.compare(SCRIPTS);
    twins.end();
}
