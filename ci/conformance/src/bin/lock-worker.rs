//! A process that locks files as it is told: one command a line, one answer a line. For the tests of locks.
//!
//! Relies on being single-threaded: signals and forks are simple then.

use std::collections::HashMap;
use std::ffi::CString;
use std::io::{BufRead, Write};
use std::num::ParseIntError;

fn main() {
    let mut worker = Worker { files: HashMap::new() };
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("commands are text");
        let words: Vec<&str> = line.split(' ').collect();
        let answer = match worker.obey(&words) {
            Ok(answer) => answer,
            Err(error) => format!("errno {}", error.raw_os_error().expect("a system call has failed")),
        };
        println!("{answer}");
        std::io::stdout().flush().expect("the test reads");
    }
}

struct Worker {
    files: HashMap<String, i32>,
}

impl Worker {
    fn obey(&mut self, words: &[&str]) -> std::io::Result<String> {
        match *words {
            ["open", name, flags, path] => {
                let flags = if flags == "r" { libc::O_RDONLY } else { libc::O_RDWR | libc::O_CREAT };
                let path = CString::new(path).expect("no NUL in it");
                // SAFETY: a valid path and flags.
                let file = done(unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC, 0o644) })?;
                self.files.insert(name.to_owned(), file);
                ok()
            }
            ["dup", name, copy] => {
                // SAFETY: duplicating a descriptor touches no memory.
                let file = done(unsafe { libc::dup(self.files[name]) })?;
                self.files.insert(copy.to_owned(), file);
                ok()
            }
            ["close", name] => {
                let file = self.files.remove(name).expect("it is open");
                // SAFETY: it's ours, and nothing refers to it any more.
                done(unsafe { libc::close(file) })?;
                ok()
            }
            ["flock", name, ref how @ ..] => {
                self.flock(name, how)?;
                ok()
            }
            ["getlk" | "ofdgetlk", name, mode, start, length] => {
                let command = if words[0] == "getlk" { libc::F_GETLK } else { libc::F_OFD_GETLK };
                let found = self.fcntl(name, command, lock(mode, start, length))?;
                Ok(match i32::from(found.l_type) {
                    libc::F_UNLCK => "free".to_owned(),
                    kind => {
                        let kind = if kind == libc::F_RDLCK { "r" } else { "w" };
                        format!("{kind} {} {} {}", found.l_start, found.l_len, found.l_pid)
                    }
                })
            }
            [command, name, mode, start, length] => {
                let command = match command {
                    "setlk" => libc::F_SETLK,
                    "setlkw" => libc::F_SETLKW,
                    "ofdsetlk" => libc::F_OFD_SETLK,
                    "ofdsetlkw" => libc::F_OFD_SETLKW,
                    _ => panic!("no command {command}"),
                };
                self.fcntl(name, command, lock(mode, start, length))?;
                ok()
            }
            // From now on a signal in so many milliseconds ends the call that it meets.
            ["alarm", milliseconds] => alarm(number(milliseconds).expect("a number")),
            // A child that has the same open files and does nothing.
            ["fork"] => {
                // SAFETY: there is one thread, so the child may do anything; it only waits.
                match done(unsafe { libc::fork() })? {
                    0 => loop {
                        // SAFETY: waits for a signal.
                        unsafe { libc::pause() };
                    },
                    child => Ok(child.to_string()),
                }
            }
            ["kill", child] => {
                let child = number(child).expect("a number") as libc::pid_t;
                // SAFETY: a child of ours that has not been waited for.
                done(unsafe { libc::kill(child, libc::SIGKILL) })?;
                // SAFETY: as above.
                done(unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) })?;
                ok()
            }
            ["read", name] => Ok(format!("[{}]", String::from_utf8_lossy(&self.read(name)?))),
            ["write", name, text] => {
                self.write(name, text.as_bytes())?;
                ok()
            }
            ["count", name, kind, times] => {
                for _ in 0..number(times).expect("a number") {
                    self.count(name, kind)?;
                }
                ok()
            }
            _ => panic!("no command {words:?}"),
        }
    }

    fn flock(&self, name: &str, how: &[&str]) -> std::io::Result<()> {
        let flag = |word: &&str| match *word {
            "sh" => libc::LOCK_SH,
            "ex" => libc::LOCK_EX,
            "un" => libc::LOCK_UN,
            "nb" => libc::LOCK_NB,
            other => panic!("no flag {other}"),
        };
        // SAFETY: touches no memory.
        done(unsafe { libc::flock(self.files[name], how.iter().map(flag).sum()) }).map(drop)
    }

    fn fcntl(&self, name: &str, command: i32, mut lock: libc::flock) -> std::io::Result<libc::flock> {
        // SAFETY: `lock` outlives the call.
        done(unsafe { libc::fcntl(self.files[name], command, &raw mut lock) })?;
        Ok(lock)
    }

    fn read(&self, name: &str) -> std::io::Result<Vec<u8>> {
        let mut bytes = vec![0; 4096];
        // SAFETY: the buffer has as many bytes as the kernel is told.
        let count = unsafe { libc::pread(self.files[name], bytes.as_mut_ptr().cast(), bytes.len(), 0) };
        bytes.truncate(done(count as i32)? as usize);
        Ok(bytes)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> std::io::Result<()> {
        // SAFETY: as in `read`.
        let count = unsafe { libc::pwrite(self.files[name], bytes.as_ptr().cast(), bytes.len(), 0) };
        assert_eq!(done(count as i32)? as usize, bytes.len());
        Ok(())
    }

    fn count(&self, name: &str, kind: &str) -> std::io::Result<()> {
        let fcntl = |command, mode| self.fcntl(name, command, lock(mode, "0", "0")).map(drop);
        match kind {
            "flock" => self.flock(name, &["ex"])?,
            _ => fcntl(libc::F_SETLKW, "w")?,
        }
        let text = String::from_utf8(self.read(name)?).expect("digits");
        let value: u64 = text.trim().parse().expect("a number");
        self.write(name, format!("{:020}", value + 1).as_bytes())?;
        match kind {
            "flock" => self.flock(name, &["un"]),
            _ => fcntl(libc::F_SETLK, "u"),
        }
    }
}

fn lock(mode: &str, start: &str, length: &str) -> libc::flock {
    // SAFETY: `flock` is plain data, for which zeros are valid; the pid must be 0 for locks of a description.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    let kind = match mode {
        "r" => libc::F_RDLCK,
        "w" => libc::F_WRLCK,
        "u" => libc::F_UNLCK,
        _ => panic!("no mode {mode}"),
    };
    lock.l_type = kind as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = number(start).expect("a number");
    lock.l_len = number(length).expect("a number");
    lock
}

fn alarm(milliseconds: i64) -> std::io::Result<String> {
    extern "C" fn ignore(_: libc::c_int) {}
    // SAFETY: zeros are a valid action: no flags, so calls are not restarted; the handler does nothing.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = ignore as *const () as usize;
        done(libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut()))?;
        let time = libc::timeval { tv_sec: milliseconds / 1000, tv_usec: milliseconds % 1000 * 1000 };
        let once = libc::itimerval { it_interval: std::mem::zeroed(), it_value: time };
        done(libc::setitimer(libc::ITIMER_REAL, &once, std::ptr::null_mut()))?;
    }
    ok()
}

fn number(word: &str) -> Result<i64, ParseIntError> {
    word.parse()
}

fn done(result: i32) -> std::io::Result<i32> {
    if result < 0 { Err(std::io::Error::last_os_error()) } else { Ok(result) }
}

fn ok() -> std::io::Result<String> {
    Ok("ok".to_owned())
}
