//! Secrets from files: beside each setting `NAME` whose value help does not show, `NAME_FILE` names a file that holds it. The environment of a process is
//! shown to whoever may look at it, and handed down to its children; a file is neither.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;

use clap::{Arg, Command};

/// What the environment says of a name.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The command with what its secrets' files hold in the place of what the environment says, so far as `words` may call it. What is wrong
/// with files is added to `faults`.
pub fn read(
    command: Command,
    words: &[OsString],
    environment: Environment<'_>,
    faults: &mut Vec<String>,
) -> Command {
    let command = command.mut_args(|argument| match secret(&argument, environment) {
        // A default: the command line stays the last word.
        Ok(Some(secret)) => {
            let told = argument.env(None::<&'static str>).required(false);
            told.default_value(secret).hide_default_value(true)
        }
        Ok(None) => argument,
        Err(fault) => {
            faults.push(fault);
            argument
        }
    });
    command.mut_subcommands(|subcommand| {
        let may_be_called = words.iter().any(|word| *word == *subcommand.get_name());
        // The files of a command that nobody calls are nobody's concern.
        if may_be_called { read(subcommand, words, environment, faults) } else { subcommand }
    })
}

/// What the file holds that the environment names for this setting, if it is a secret and one is named.
fn secret(argument: &Arg, environment: Environment<'_>) -> Result<Option<String>, String> {
    let name = argument.get_env().and_then(OsStr::to_str);
    let secret = name.filter(|_| argument.is_hide_env_values_set());
    let Some(name) = secret else { return Ok(None) };
    let file = format!("{name}_FILE");
    // Orchestrators cannot leave a variable out: an empty one says nothing.
    let said = |name: &str| environment(name).filter(|value| !value.is_empty());
    let Some(path) = said(&file) else { return Ok(None) };
    if said(name).is_some() {
        return Err(format!("{name} and {file} are both set: leave one of them out"));
    }
    let shown = Path::new(&path).display();
    let held = fs::read_to_string(&path)
        .map_err(|error| format!("cannot read {shown}, which {file} names: {error}"))?;
    // Editors and `echo` end a file with a line break, which is no part of the secret.
    let line = held.strip_suffix('\n').unwrap_or(&held);
    let secret = line.strip_suffix('\r').unwrap_or(line);
    if secret.is_empty() {
        return Err(format!("{shown}, which {file} names, is empty"));
    }
    Ok(Some(secret.to_owned()))
}
