//! Command lines: an error is one line on standard error.

mod secret_files;

use std::ffi::OsString;
use std::io::Write;
use std::process::{ExitCode, Termination};

use clap::Parser;
use clap::error::ErrorKind;

use self::secret_files::Environment;

/// What shells report for a program whose reader has gone (SIGPIPE).
const READER_GONE: i32 = 128 + 13;
/// What clap, and most programs, end with when the command line is wrong.
const MISUSED: i32 = 2;

/// Reads the command line, and the environment for what it leaves out; each secret `NAME` may be in the file that `NAME_FILE` names. Help
/// and version are printed and end the process; so does, in one line, what is wrong.
pub fn parse<P: Parser>() -> P {
    let words: Vec<OsString> = std::env::args_os().collect();
    parsed(&words, &|name| std::env::var_os(name)).unwrap_or_else(|error| match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => error.exit(),
        _ => {
            complain(&format!("{} (--help lists what there is)", misuse(&error.to_string())));
            std::process::exit(MISUSED);
        }
    })
}

fn parsed<P: Parser>(words: &[OsString], environment: Environment<'_>) -> Result<P, clap::Error> {
    let mut faults = Vec::new();
    let mut command = secret_files::read(P::command(), words, environment, &mut faults);
    let matches = command.try_get_matches_from_mut(words);
    let is_help = |error: &clap::Error| !error.use_stderr();
    match (faults.first(), matches) {
        // A setting is missing whose file cannot be read: the file is what is wrong.
        (Some(fault), matches) if !matches.as_ref().is_err_and(is_help) => {
            Err(command.error(ErrorKind::Io, fault))
        }
        (_, matches) => {
            let mut matches = matches?;
            P::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
        }
    }
}

/// How a `main` ends: what went wrong is told in one line, the causes after what they have caused. Never a backtrace: it
/// would bury the line, and whoever typed a wrong name cannot use it.
pub fn end<T: Termination>(ended: anyhow::Result<T>) -> ExitCode {
    match ended {
        Ok(done) => done.report(),
        Err(error) => {
            complain(&in_one_line(&error));
            ExitCode::FAILURE
        }
    }
}

/// Ends the process without a word when whoever reads its output has gone, as in `medseg user list | head -n 1`. Printing
/// panics there.
pub fn mind_readers() {
    let other = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let words = panic.payload_as_str().unwrap_or_default();
        if words.starts_with("failed printing to stdout") && words.contains("Broken pipe") {
            std::process::exit(READER_GONE);
        }
        other(panic);
    }));
}

/// Tells in one line on standard error what went wrong, where a command goes on all the same.
pub fn complain(words: &str) {
    // Where standard error is closed, nobody is there to be told.
    let _ = writeln!(std::io::stderr(), "error: {words}");
}

/// What clap says before it tells how to use the program.
fn misuse(said: &str) -> String {
    let told = said.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let told: Vec<_> =
        told.filter(|line| !line.is_empty() && !line.starts_with("For more")).collect();
    told.join(" ").trim_start_matches("error: ").to_owned()
}

/// An error as one line, each cause after what it has caused.
pub fn in_one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(|cause| first_words(&cause.to_string())) {
        // Some messages quote their cause already.
        if line.contains(&cause) {
            continue;
        }
        if !line.is_empty() {
            line.push_str(": ");
        }
        line.push_str(&cause);
    }
    line
}

/// A message as one line, without the C++ backtrace that libtorch appends to its own.
fn first_words(message: &str) -> String {
    let lines = message.lines().map(str::trim);
    let told = lines.take_while(|line| !line.starts_with("Exception raised from"));
    told.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};
    use clap::Subcommand;
    use secrecy::{ExposeSecret, SecretString};

    use super::*;

    #[test]
    fn an_error_and_its_causes_are_one_line() {
        let cause = anyhow!("no such file\nException raised from f at g.cpp:1\nframe #0");
        let error = Err::<(), _>(cause).context("cannot read a.csv").context("training stopped");
        assert_eq!(
            in_one_line(&error.unwrap_err()),
            "training stopped: cannot read a.csv: no such file"
        );
        let quoting = Err::<(), _>(anyhow!("gone")).context("cannot load: gone").unwrap_err();
        assert_eq!(in_one_line(&quoting), "cannot load: gone");
    }

    #[test]
    fn a_wrong_command_line_is_one_line() {
        #[derive(Debug, Parser)]
        struct Options {
            #[arg(long)]
            _out: String,
            #[arg(long)]
            _seed: Option<u64>,
        }
        let said = |line: &[&str]| misuse(&Options::try_parse_from(line).unwrap_err().to_string());
        let lacking = said(&["medseg"]);
        assert!(lacking.contains("required") && lacking.ends_with("--out <OUT>"), "{lacking}");
        let wrong = said(&["medseg", "--out", "a", "--seed", "two"]);
        assert!(wrong.starts_with("invalid value 'two'") && wrong.lines().count() == 1, "{wrong}");
        assert!(said(&["medseg", "--ouch"]).starts_with("unexpected argument"));
    }

    #[derive(Debug, Parser)]
    struct Program {
        #[arg(long, env = "CLI_TEST_URL", hide_env_values = true)]
        url: SecretString,
        #[arg(long, env = "CLI_TEST_OTHER", hide_env_values = true)]
        other: Option<SecretString>,
        #[arg(long, env = "CLI_TEST_FOLDER")]
        folder: Option<String>,
        #[command(subcommand)]
        command: Option<Sub>,
    }

    #[derive(Debug, Subcommand)]
    enum Sub {
        Send {
            #[arg(long, env = "CLI_TEST_PASSWORD", hide_env_values = true)]
            password: SecretString,
        },
        Idle,
    }

    /// What the program makes of a command line and an environment.
    fn program(line: &[&str], environment: &[(&str, &str)]) -> Result<Program, String> {
        let words: Vec<OsString> = line.iter().map(OsString::from).collect();
        let said = |name: &str| {
            let entry = environment.iter().find(|(known, _)| *known == name)?;
            Some(OsString::from(entry.1))
        };
        parsed(&words, &said).map_err(|error| misuse(&error.to_string()))
    }

    fn held(folder: &tempfile::TempDir, name: &str, text: &str) -> String {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    #[test]
    fn a_secret_may_be_in_a_file_whose_last_line_break_is_none_of_it() {
        let folder = tempfile::tempdir().unwrap();
        for (text, secret) in
            [("a b", "a b"), (" a b \n", " a b "), ("a\r\n", "a"), ("a\n\n", "a\n")]
        {
            let file = held(&folder, "url", text);
            let found = program(&["p"], &[("CLI_TEST_URL_FILE", &file)]).unwrap();
            assert_eq!(found.url.expose_secret(), secret);
            assert!(found.other.is_none() && found.folder.is_none());
        }
        let file = held(&folder, "url", "of the file\n");
        let both = [("CLI_TEST_URL_FILE", file.as_str()), ("CLI_TEST_OTHER_FILE", &file)];
        let found = program(&["p", "--url", "of the line"], &both).unwrap();
        assert_eq!(found.url.expose_secret(), "of the line");
        assert_eq!(found.other.unwrap().expose_secret(), "of the file");
        // An empty variable says nothing, and a setting that is no secret has no file.
        let folders = [("CLI_TEST_FOLDER_FILE", file.as_str()), ("CLI_TEST_URL", "")];
        let found = program(&["p"], &[&both[..], &folders].concat()).unwrap();
        assert_eq!((found.url.expose_secret(), found.folder), ("of the file", None));
    }

    #[test]
    fn a_secret_that_is_said_twice_or_cannot_be_read_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let (file, empty) = (held(&folder, "url", "SECRET\n"), held(&folder, "empty", "\n"));
        let nowhere = folder.path().join("nowhere").display().to_string();
        let url = "CLI_TEST_URL_FILE";
        for (environment, words) in [
            (vec![(url, file.as_str()), ("CLI_TEST_URL", "also")], [url, "are both set"]),
            (vec![(url, nowhere.as_str())], [url, "nowhere"]),
            (vec![(url, empty.as_str())], [url, "is empty"]),
        ] {
            let told = program(&["p"], &environment).unwrap_err();
            assert!(words.iter().all(|word| told.contains(word)), "{told}");
            assert!(!told.contains("SECRET") && !told.contains("also"), "{told}");
            assert_eq!(told.lines().count(), 1);
        }
        let help = program(&["p", "--help"], &[(url, nowhere.as_str())]).unwrap_err();
        assert!(!help.contains("nowhere"), "{help}");
        let words: Vec<OsString> = vec!["p".into(), "--help".into()];
        let named = |name: &str| (name == url).then(|| OsString::from(&file));
        let help = parsed::<Program>(&words, &named).unwrap_err().to_string();
        assert!(help.contains("--url") && !help.contains("SECRET"), "{help}");
    }

    #[test]
    fn a_subcommand_has_files_too_and_those_of_another_are_not_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let file = held(&folder, "password", "of the file\n");
        let sent = [("CLI_TEST_PASSWORD_FILE", file.as_str())];
        match program(&["p", "--url=u", "send"], &sent).unwrap().command {
            Some(Sub::Send { password }) => assert_eq!(password.expose_secret(), "of the file"),
            other => panic!("{other:?}"),
        }
        let idle = [("CLI_TEST_PASSWORD_FILE", "/nowhere")];
        let found = program(&["p", "--url=u", "idle"], &idle).unwrap();
        assert!(matches!(found.command, Some(Sub::Idle)));
    }
}
