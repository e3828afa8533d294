use std::path::{Path, PathBuf};

use domain::{ErrorKind, Result};

/// Where the trained model lies in a checkout, and beside an installed program.
const MODEL: &str = "models/medseg-mr/weights.safetensors";

/// The path of the shipped model: beside the program where it is installed, below the working directory, or in the
/// checkout that it was built from.
pub fn shipped() -> Result<PathBuf> {
    let installed = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join(MODEL)));
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(MODEL);
    first_of(installed.into_iter().chain([PathBuf::from(MODEL), checkout]).collect())
}

fn first_of(places: Vec<PathBuf>) -> Result<PathBuf> {
    if let Some(found) = places.iter().find(|path| path.is_file()) {
        return Ok(found.clone());
    }
    let looked: Vec<_> = places.iter().map(|path| path.display().to_string()).collect();
    let message =
        format!("no model came with this program, name one: looked for {}", looked.join(", "));
    Err(ErrorKind::NotFound.error(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_found_wherever_the_program_is_started() {
        // Tests run in the folder of their crate, which has no model below it.
        assert!(shipped().unwrap().is_file());
        let nowhere = first_of(vec!["a/b".into(), "c".into()]).unwrap_err().to_string();
        assert!(nowhere.ends_with("looked for a/b, c"), "{nowhere}");
    }
}
