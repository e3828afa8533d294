use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// What clap, and most programs, end with when the command line is wrong.
pub const MISUSED: i32 = 2;
/// What the program ends with when it cannot do what it was rightly asked for.
pub const FAILED: i32 = 1;

/// A folder of its own, in which the program is started.
pub struct Place(TempDir);

/// The program, while it runs.
pub struct Running {
    line: String,
    child: Child,
}

/// What the program has said, and how it ended.
pub struct Ended {
    line: String,
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Place {
    pub fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::create_dir_all(self.at(name).parent().unwrap()).unwrap();
        fs::write(self.at(name), content).unwrap();
    }

    /// Whether anything lies there.
    pub fn has(&self, name: &str) -> bool {
        self.at(name).try_exists().unwrap()
    }

    /// The names of what lies in that folder, sorted.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let entries =
            fs::read_dir(self.at(folder)).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = entries.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Runs `medseg` with the words of that line.
    pub fn medseg(&self, line: &str) -> Ended {
        self.medseg_told(line, "")
    }

    /// The same, with something to read on standard input.
    pub fn medseg_told(&self, line: &str, input: &str) -> Ended {
        self.words(&line.split_whitespace().collect::<Vec<_>>(), input)
    }

    /// The same, for words with spaces in them.
    pub fn words(&self, words: &[&str], input: &str) -> Ended {
        let mut running = self.start(words);
        // One that ends before it has read is not to be told.
        let _ = running.child.stdin.take().unwrap().write_all(input.as_bytes());
        running.ended()
    }

    /// Starts `medseg` with these words, and goes on.
    pub fn start(&self, words: &[&str]) -> Running {
        self.start_with(words, &[])
    }

    /// The same, with these settings in its environment.
    pub fn start_with(&self, words: &[&str], settings: &[(&str, &str)]) -> Running {
        let child = Command::new(env!("CARGO_BIN_EXE_medseg"))
            .args(words)
            .current_dir(self.0.path())
            // Whoever has set it, for another program, still wants one line from ours.
            .env("RUST_BACKTRACE", "1")
            .env_remove("MEDSEG_DATA")
            .env_remove("MLFLOW_TRACKING_URI")
            .envs(settings.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Running { line: words.join(" "), child }
    }
}

impl Running {
    /// Tells it to stop, as whoever runs services does.
    pub fn terminate(&self) {
        let told = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(told.success());
    }

    /// Ends it as a power cut does.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The lines that it prints up to the first that begins so.
    pub fn said_until(&mut self, beginning: &str) -> Vec<String> {
        let stdout = self.child.stdout.as_mut().unwrap();
        let (mut lines, mut line) = (Vec::new(), Vec::new());
        // Byte by byte: what comes after that line is for whoever waits for the end.
        let mut byte = [0];
        while stdout.read(&mut byte).unwrap() == 1 {
            match byte[0] {
                b'\n' => lines.push(String::from_utf8(std::mem::take(&mut line)).unwrap()),
                byte => line.push(byte),
            }
            if lines.last().is_some_and(|line| line.starts_with(beginning)) {
                return lines;
            }
        }
        panic!("medseg {} says no `{beginning}`: {lines:?}", self.line);
    }

    /// What it has said once it has ended.
    pub fn ended(self) -> Ended {
        let output = self.child.wait_with_output().unwrap();
        Ended {
            line: self.line,
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ended {
    /// What it printed, where all went well.
    #[track_caller]
    pub fn good(self) -> String {
        let Ended { line, code, stderr, .. } = &self;
        assert_eq!(*code, Some(0), "medseg {line}: {stderr}");
        self.stdout
    }

    /// That it ended with `code`, without output, and with one line that says all of these words.
    #[track_caller]
    pub fn bad(self, code: i32, words: &[&str]) {
        let Ended { line, stderr, .. } = &self;
        assert_eq!((self.code, self.stdout.as_str()), (Some(code), ""), "medseg {line}: {stderr}");
        let is_one_line = stderr.starts_with("error: ") && stderr.lines().count() == 1;
        assert!(is_one_line, "medseg {line}: {stderr}");
        for word in words {
            assert!(stderr.contains(word), "medseg {line} says no `{word}`: {stderr}");
        }
    }

    /// What it printed, where it ended with `code`: what it wrote to standard error is another matter.
    #[track_caller]
    pub fn printed(&self, code: i32) -> &str {
        let Ended { line, stderr, .. } = self;
        assert_eq!(self.code, Some(code), "medseg {line}: {stderr}");
        &self.stdout
    }

    /// What it printed, however it ended.
    pub fn stdout(&self) -> &str {
        &self.stdout
    }

    /// What it wrote to standard error.
    pub fn stderr(&self) -> &str {
        &self.stderr
    }

    pub fn code(&self) -> Option<i32> {
        self.code
    }
}

/// A file of the model that came with the program.
pub fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/medseg-mr").join(name)
}
