//! `model.json`, as a version brings it, and the card beside it.

use domain::{ErrorKind, Result};
use serde::Deserialize;

use crate::versions::Kept;

/// The manifest's own name.
pub const MANIFEST: &str = "model.json";
/// What else a version may bring: the card, the drift reference, how reliable its confidence is, and the mask of the golden
/// phantom.
pub const OTHERS: [&str; 4] = [CARD, "reference.json", "reliability.svg", "golden.pbm"];
const CARD: &str = "card.md";
const NAME_MAX: usize = 64;

/// What a model says of itself, as far as the registry decides by it. The network's own facts are the workers'.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Manifest {
    /// The weights file's name.
    pub file: String,
    pub bytes: u64,
    /// Of the weights file, in lower-case hex.
    pub sha256: String,
    pub name: String,
    pub version: String,
    pub preprocessing: String,
    /// DICOM terms.
    pub modalities: Vec<String>,
}

/// The bytes of those files that the registry reads itself.
#[derive(Default)]
pub struct Texts {
    pub manifest: Vec<u8>,
    pub card: Vec<u8>,
}

impl Texts {
    /// Takes in more of a file, if it is one of these.
    pub fn add(&mut self, file: &str, bytes: &[u8]) {
        match file {
            MANIFEST => self.manifest.extend_from_slice(bytes),
            CARD => self.card.extend_from_slice(bytes),
            _ => {}
        }
    }
}

impl Manifest {
    /// Reads the manifest and compares it with the files that came with it; `Invalid` says what does not fit.
    pub fn read(texts: &Texts, files: &[Kept]) -> Result<Manifest> {
        let manifest: Manifest = serde_json::from_slice(&texts.manifest).map_err(|error| {
            let message = format!("{MANIFEST} is no manifest of a model: {error}");
            ErrorKind::Invalid.error(message).because(error)
        })?;
        manifest.check()?;
        manifest.check_files(files)?;
        // Figures of other weights, beside which somebody would choose this version.
        let names_weights = || String::from_utf8_lossy(&texts.card).contains(&manifest.sha256);
        if files.iter().any(|file| file.name == CARD) && !names_weights() {
            return Err(ErrorKind::Invalid.error(format!(
                "{CARD} is of other weights: it does not name the SHA-256 of {}",
                manifest.file
            )));
        }
        Ok(manifest)
    }

    fn check_files(&self, files: &[Kept]) -> Result<()> {
        let weights = files.iter().find(|file| file.name == self.file).ok_or_else(|| {
            let message = format!("the weights {} did not come with their manifest", self.file);
            ErrorKind::Invalid.error(message)
        })?;
        if weights.size != self.bytes {
            return Err(ErrorKind::Invalid.error(format!(
                "{} has {} bytes where {MANIFEST} says {}: it was cut short, or is of another model",
                weights.name, weights.size, self.bytes
            )));
        }
        if weights.sha256 != self.sha256 {
            return Err(ErrorKind::Invalid.error(format!(
                "{} is not the file that {MANIFEST} vouches for: its SHA-256 is another",
                weights.name
            )));
        }
        let stranger = files
            .iter()
            .map(|file| file.name.as_str())
            .find(|name| ![MANIFEST, &self.file].contains(name) && !OTHERS.contains(name));
        match stranger {
            Some(name) => Err(ErrorKind::Invalid.error(format!("`{name}` is no file of a model"))),
            None => Ok(()),
        }
    }

    fn check(&self) -> Result<()> {
        for (what, text) in [("name", &self.name), ("version", &self.version)] {
            let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            if text.is_empty() || text.len() > NAME_MAX || !text.chars().all(plain) {
                return Err(ErrorKind::Invalid.error(format!(
                    "a model's {what} has 1 to {NAME_MAX} letters, digits, dots, dashes or underscores, unlike `{text}`"
                )));
            }
        }
        if self.modalities.is_empty() {
            return Err(ErrorKind::Invalid.error("the model is made for no modality"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"file":"weights.safetensors","bytes":3,"sha256":"abc","name":"m","version":"1",
        "preprocessing":"head-square-2","modalities":["MR"],"side":256}"#;

    fn kept(name: &str, size: u64, sha256: &str) -> Kept {
        Kept { name: name.into(), key: String::new(), sha256: sha256.into(), size }
    }

    #[test]
    fn files_that_do_not_fit_each_other_are_refused_with_the_reason() {
        let weights = || kept("weights.safetensors", 3, "abc");
        let read = |json: &str, files: &[Kept]| {
            let texts = Texts { manifest: json.into(), card: Vec::new() };
            Manifest::read(&texts, files).map_err(|error| error.to_string())
        };
        assert_eq!(read(JSON, &[weights()]).unwrap().modalities, ["MR"]);
        for (files, why) in [
            (vec![], "did not come"),
            (vec![kept("weights.safetensors", 2, "abc")], "2 bytes where model.json says 3"),
            (vec![kept("weights.safetensors", 3, "abd")], "SHA-256"),
            (vec![weights(), kept("notes.txt", 1, "x")], "`notes.txt` is no file of a model"),
        ] {
            let said = read(JSON, &files).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
        for (from, to, why) in [
            ("\"m\"", "\"../m\"", "name"),
            ("\"m\"", "\"\"", "name"),
            ("\"1\"", "\"1 2\"", "version"),
            ("[\"MR\"]", "[]", "no modality"),
            ("\"bytes\":3", "\"bytes\":-3", "no manifest"),
        ] {
            let said = read(&JSON.replace(from, to), &[weights()]).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
    }

    #[test]
    fn a_card_names_the_weights_that_it_came_with() {
        let files = [kept("weights.safetensors", 3, "abc"), kept(CARD, 9, "x")];
        let read = |card: &str| {
            let mut texts = Texts::default();
            // As they come: piece by piece, among others.
            for (file, text) in [(MANIFEST, JSON), ("weights.safetensors", "abc"), (CARD, card)] {
                let (first, second) = text.as_bytes().split_at(text.len() / 2);
                texts.add(file, first);
                texts.add(file, second);
            }
            Manifest::read(&texts, &files).map_err(|error| error.to_string())
        };
        assert!(read("# m 1\n| SHA-256 | `abc` |\n").is_ok());
        for other in ["# m 1\n| SHA-256 | `abd` |\n", "# m 1\n", ""] {
            let said = read(other).unwrap_err();
            assert!(said.contains("card.md is of other weights"), "{said}");
        }
    }
}
