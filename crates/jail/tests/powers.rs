//! What somebody who has taken over the decoder could do: each power works without the jail, and none within it.
//!
//! Each is tried in a process of its own, because the jail ends a process at its first forbidden call. That process is
//! this test again, told by its environment what to try.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]
#![expect(unsafe_code, reason = "some powers are system calls that no safe code makes")]

use std::fs::{self, File};
use std::io::{Error, Read, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio, exit};

use libc::{SIGABRT, SIGSYS, c_long};
use tempfile::TempDir;

/// What a process that tries something ends with. Zero would also be said by a test that tried nothing.
const WORKED: i32 = 42;
const REFUSED: i32 = 43;
const NO_JAIL_HERE: i32 = 44;

/// So many must work without the jail, or the test shows nothing.
const TRIED_MIN: usize = 12;

type Attempt = fn(&Victim) -> Result<()>;

const POWERS: [(&str, Attempt); 23] = [
    ("read the signing key", |victim| fs::read(victim.path("key.pem")).map(drop)),
    ("read the password hashes", |victim| fs::read(victim.path("auth.db")).map(drop)),
    ("read identities", |victim| fs::read(victim.path("storage.db")).map(drop)),
    ("look for a file", |victim| fs::metadata(victim.path("storage.db")).map(drop)),
    ("list a folder", |victim| fs::read_dir(&victim.folder).map(drop)),
    ("open for writing", |victim| writable(victim).map(drop)),
    ("change a database in place", change_in_place),
    ("empty a file", |victim| File::create(victim.path("object")).map(drop)),
    ("delete a file", |victim| fs::remove_file(victim.path("object"))),
    ("plant a link", |victim| symlink(victim.path("key.pem"), victim.path("link"))),
    ("read the parent's environment", |victim| fs::read(victim.parents("environ")).map(drop)),
    ("read the parent's memory", |victim| File::open(victim.parents("mem")).map(drop)),
    ("trace the parent", trace),
    ("signal the parent", |victim| called(unsafe { libc::kill(victim.parent, 0) })),
    ("connect to a port", |victim| TcpStream::connect(("127.0.0.1", victim.port)).map(drop)),
    ("listen on a port", |_| TcpListener::bind("127.0.0.1:0").map(drop)),
    ("connect to a socket", |victim| UnixStream::connect_addr(&victim.socket()).map(drop)),
    ("start a thread", |_| {
        std::thread::spawn(|| vec![7u8; 1 << 20])
            .join()
            .map(drop)
            .map_err(|_| Error::other("it died"))
    }),
    ("fork", |_| born(c_long::from(unsafe { libc::fork() }))),
    ("run a shell", |_| {
        Err(Command::new("/bin/sh").args(["-c", &format!("exit {WORKED}")]).exec())
    }),
    ("make an io_uring", io_uring),
    ("make a user namespace", user_namespace),
    ("run code of its own", executable_memory),
];

/// What decoding does, and what a decoder dies of.
const NEEDS: [(&str, Attempt); 3] = [
    ("read, think and answer", read_think_answer),
    ("survive a panic", |_| {
        std::panic::catch_unwind(|| panic!("of a codec"))
            .map_or(Ok(()), |()| Err(Error::other("none")))
    }),
    ("take all memory", |_| {
        Err(Error::other(std::hint::black_box(vec![1u8; 8 << 30]).len().to_string()))
    }),
];

/// What there is to be had around a decoder. The parent holds it; the child knows where it is.
struct Victim {
    folder: PathBuf,
    port: u16,
    parent: i32,
}

impl Victim {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn parents(&self, what: &str) -> String {
        format!("/proc/{}/{what}", self.parent)
    }

    /// A name that is no path, and as fresh as the port.
    fn socket(&self) -> SocketAddr {
        SocketAddr::from_abstract_name(format!("medseg-victim-{}", self.port)).unwrap()
    }
}

/// Keeps files and doors there.
struct World {
    victim: Victim,
    _folder: TempDir,
    _doors: (TcpListener, UnixListener),
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        for name in ["key.pem", "auth.db", "storage.db", "object"] {
            fs::write(folder.path().join(name), [b'x'; 4096]).unwrap();
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let victim =
            Victim { folder: folder.path().into(), port, parent: std::process::id() as i32 };
        let doors = (listener, UnixListener::bind_addr(&victim.socket()).unwrap());
        World { victim, _folder: folder, _doors: doors }
    }

    /// How a process ends that tries `what`.
    fn tries(&self, what: &str, jailed: bool) -> ExitStatus {
        let ended = Command::new(std::env::current_exe().unwrap())
            .args(["taken_over", "--exact", "--nocapture"])
            .env("TAKEN_OVER_TO", what)
            .env("JAILED", jailed.to_string())
            .env("FOLDER", &self.victim.folder)
            .env("PORT", self.victim.port.to_string())
            .env("PARENT", self.victim.parent.to_string())
            .env_remove("RUST_BACKTRACE")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert_ne!(
            ended.code(),
            Some(NO_JAIL_HERE),
            "this kernel has not all that a jail is built of"
        );
        ended
    }
}

/// The process that tries something. Nothing but the tests below tells it what; run by anybody else, it does nothing.
#[test]
fn taken_over() {
    let Ok(power) = std::env::var("TAKEN_OVER_TO") else { return };
    let said = |name: &str| std::env::var(name).unwrap();
    let number = |name: &str| said(name).parse::<i32>().unwrap();
    let (port, parent) = (number("PORT") as u16, number("PARENT"));
    let victim = Victim { folder: said("FOLDER").into(), port, parent };
    let (_, attempt) = POWERS.iter().chain(&NEEDS).find(|(name, _)| *name == power).unwrap();
    std::panic::set_hook(Box::new(|_| ()));
    if said("JAILED") == "true" {
        jail::limit(2048, 20, 1).unwrap();
        if jail::confine().unwrap().missing().is_some() {
            exit(NO_JAIL_HERE);
        }
    }
    exit(if attempt(&victim).is_ok() { WORKED } else { REFUSED });
}

#[test]
fn without_the_jail_the_powers_work() {
    let tried = POWERS.map(|(name, _)| (name, World::new().tries(name, false)));
    let (work, skipped): (Vec<_>, Vec<_>) =
        tried.into_iter().partition(|(_, ended)| ended.code() == Some(WORKED));
    println!("skipped, refused here without a jail too: {skipped:?}");
    assert!(work.len() >= TRIED_MIN, "too few powers to take away: {skipped:?}");
}

#[test]
fn in_the_jail_no_power_is_left() {
    for (name, _) in POWERS {
        let ended = World::new().tries(name, true);
        assert_eq!(ended.signal(), Some(SIGSYS), "{name}: {ended}");
    }
}

#[test]
fn what_decoding_needs_is_left_and_an_end_of_memory_is_no_alarm() {
    for (name, _) in &NEEDS[..2] {
        for jailed in [false, true] {
            let ended = World::new().tries(name, jailed);
            assert_eq!(ended.code(), Some(WORKED), "{name}, jailed: {jailed}, {ended}");
        }
    }
    let (name, _) = NEEDS[2];
    assert_eq!(World::new().tries(name, true).signal(), Some(SIGABRT), "{name}");
}

fn called(result: i32) -> Result<()> {
    if result < 0 { Err(Error::last_os_error()) } else { Ok(()) }
}

/// The end of a fork's child, and what its parent was told.
fn born(child: c_long) -> Result<()> {
    match child {
        0 => unsafe { libc::_exit(0) },
        ..0 => Err(Error::last_os_error()),
        _ => Ok(()),
    }
}

fn writable(victim: &Victim) -> Result<File> {
    File::options().read(true).write(true).open(victim.path("storage.db"))
}

/// A limit on the size of files does not see this.
fn change_in_place(victim: &Victim) -> Result<()> {
    let mut file = writable(victim)?;
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let fd = file.as_raw_fd();
    let place = unsafe { libc::mmap(std::ptr::null_mut(), 4096, access, libc::MAP_SHARED, fd, 0) };
    if place == libc::MAP_FAILED {
        return Err(Error::last_os_error());
    }
    unsafe { place.cast::<u8>().write_volatile(b'y') };
    let mut byte = [0];
    file.read_exact(&mut byte)?;
    if byte == *b"y" { Ok(()) } else { Err(Error::other("it is as it was")) }
}

/// Seizing does not stop it.
fn trace(victim: &Victim) -> Result<()> {
    called(unsafe { libc::ptrace(libc::PTRACE_SEIZE, victim.parent, 0usize, 0usize) } as i32)
}

fn io_uring(_: &Victim) -> Result<()> {
    let parameters = [0u8; 120];
    called(unsafe { libc::syscall(libc::SYS_io_uring_setup, 1u32, parameters.as_ptr()) } as i32)
}

fn user_namespace(_: &Victim) -> Result<()> {
    let flags = c_long::from(libc::CLONE_NEWUSER | libc::SIGCHLD);
    let none: c_long = 0;
    born(unsafe { libc::syscall(libc::SYS_clone, flags, none, none, none, none) })
}

fn executable_memory(_: &Victim) -> Result<()> {
    let access = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
    let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let place = unsafe { libc::mmap(std::ptr::null_mut(), 4096, access, kind, -1, 0) };
    if place == libc::MAP_FAILED { Err(Error::last_os_error()) } else { Ok(()) }
}

/// From and to nowhere: what counts is that these calls are allowed.
fn read_think_answer(_: &Victim) -> Result<()> {
    let mut table = std::collections::HashMap::new();
    table.insert("pixels", vec![1u8; 64 << 20]);
    table.entry("pixels").and_modify(|pixels| pixels.resize(128 << 20, 2));
    std::io::stdin().read_to_end(&mut Vec::new())?;
    std::io::stdout().write_all(&table["pixels"][..1])?;
    std::io::stdout().flush()
}
