//! Command lines: an error is one line on standard error.

use std::io::Write;
use std::process::{ExitCode, Termination};

use clap::Parser;
use clap::error::ErrorKind;

/// What shells report for a program whose reader has gone (SIGPIPE).
const READER_GONE: i32 = 128 + 13;
/// What clap, and most programs, end with when the command line is wrong.
const MISUSED: i32 = 2;

/// Reads the command line. Help and version are printed and end the process; so does, in one line, what is wrong.
pub fn parse<P: Parser>() -> P {
    P::try_parse().unwrap_or_else(|error| match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => error.exit(),
        _ => {
            complain(&format!("{} (--help lists what there is)", misuse(&error.to_string())));
            std::process::exit(MISUSED);
        }
    })
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
}
