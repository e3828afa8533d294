//! `model.json` and the card, as a version brings them.

use domain::{ErrorKind, Result};
use serde::Deserialize;

use crate::versions::Kept;

/// The manifest's own name.
pub const MANIFEST: &str = "model.json";
/// The card's name.
const CARD: &str = "card.md";
/// What else a version may bring: the card, the drift reference, how reliable its confidence is, and the mask of the golden
/// phantom.
pub const OTHERS: [&str; 4] = [CARD, "reference.json", "reliability.svg", "golden.pbm"];
const NAME_MAX: usize = 64;
/// A DICOM code string's (PS3.5, 6.2), such as a modality is.
const TERM_MAX: usize = 16;
/// No model is made for more.
const MODALITIES_MAX: usize = 8;
/// What stands in a card, as training writes it, before the digest of the weights that it tells of.
const CARD_SHA256: &str = "| SHA-256 | `";
/// The same, before the version of the data that the weights were trained on.
const CARD_DATA_VERSION: &str = "Data version `";

/// The files of a version that are read here, and not only kept.
#[derive(Default)]
pub struct Texts {
    manifest: Vec<u8>,
    /// Empty without one.
    card: Vec<u8>,
}

impl Texts {
    /// Where the bytes of the file of that name belong; None of one that is only kept.
    pub fn of(&mut self, name: &str) -> Option<&mut Vec<u8>> {
        match name {
            MANIFEST => Some(&mut self.manifest),
            CARD => Some(&mut self.card),
            _ => None,
        }
    }
}

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
    /// Of what the weights were trained on: as the manifest says it, or else the card; empty where neither does.
    #[serde(default)]
    pub data_version: String,
    /// DICOM terms.
    pub modalities: Vec<String>,
}

impl Manifest {
    /// Reads the manifest and compares it with the files that came with it; `Invalid` says what does not fit.
    pub fn read(texts: &Texts, files: &[Kept]) -> Result<Manifest> {
        let mut manifest: Manifest = serde_json::from_slice(&texts.manifest).map_err(|error| {
            let message = format!("{MANIFEST} is no manifest of a model: {error}");
            ErrorKind::Invalid.error(message).because(error)
        })?;
        manifest.check()?;
        manifest.check_files(files)?;
        // Else somebody would choose this version by the figures of other weights.
        let card = String::from_utf8_lossy(&texts.card);
        manifest.check_card(&card)?;
        if manifest.data_version.is_empty() {
            manifest.data_version = quoted(&card, CARD_DATA_VERSION).unwrap_or_default().to_owned();
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

    /// A card that does not say which weights it tells of is taken.
    fn check_card(&self, card: &str) -> Result<()> {
        match quoted(card, CARD_SHA256) {
            Some(sha256) if sha256 != self.sha256 => {
                Err(ErrorKind::Invalid.error(format!("{CARD} tells of other weights")))
            }
            _ => Ok(()),
        }
    }

    fn check(&self) -> Result<()> {
        for (what, text) in [
            ("name", &self.name),
            ("version", &self.version),
            ("weights file", &self.file),
            ("preprocessing", &self.preprocessing),
        ] {
            if !is_name(text) {
                return Err(ErrorKind::Invalid.error(format!(
                    "a model's {what} has 1 to {NAME_MAX} letters, digits, dots, dashes or underscores, a letter or digit first, unlike `{text}`"
                )));
            }
        }
        if self.file == MANIFEST || OTHERS.contains(&self.file.as_str()) {
            let message = format!("the weights are called {}, as another file is", self.file);
            return Err(ErrorKind::Invalid.error(message));
        }
        self.check_modalities()
    }

    /// A term that no scan has would serve nobody, in silence.
    fn check_modalities(&self) -> Result<()> {
        let invalid = |message: String| Err(ErrorKind::Invalid.error(message));
        if self.modalities.is_empty() {
            return invalid("the model is made for no modality".to_owned());
        }
        if self.modalities.len() > MODALITIES_MAX {
            return invalid(format!("a model is made for {MODALITIES_MAX} modalities at most"));
        }
        for (at, term) in self.modalities.iter().enumerate() {
            if !is_term(term) || self.modalities[..at].contains(term) {
                return invalid(format!(
                    "a model's modalities are DICOM terms such as MR, each of them once, unlike `{term}`"
                ));
            }
        }
        Ok(())
    }
}

/// What a card says between `title`, which ends in a backtick, and the next one.
fn quoted<'a>(card: &'a str, title: &str) -> Option<&'a str> {
    let (_, rest) = card.split_once(title)?;
    rest.split_once('`').map(|(told, _)| told)
}

/// What may stand in addresses, in rows and in what is signed.
fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    text.len() <= NAME_MAX
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(plain)
}

fn is_term(text: &str) -> bool {
    let sign = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    (1..=TERM_MAX).contains(&text.len()) && text.chars().all(sign)
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
            let texts = Texts { manifest: json.into(), ..Texts::default() };
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
            ("\"1\"", "\"..\"", "version"),
            ("weights.safetensors", "../weights.safetensors", "weights file"),
            ("weights.safetensors", "a 1 abc\\nb", "weights file"),
            ("weights.safetensors", "card.md", "as another file is"),
            ("head-square-2", "", "preprocessing"),
            ("\"MR\"", "\"mr\"", "`mr`"),
            ("\"MR\"", "\"MR,CT\"", "`MR,CT`"),
            ("\"MR\"", "\"MR\", \"MR\"", "each of them once"),
            ("[\"MR\"]", "[]", "no modality"),
            ("\"bytes\":3", "\"bytes\":-3", "no manifest"),
        ] {
            let said = read(&JSON.replace(from, to), &[weights()]).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
    }

    #[test]
    fn the_version_of_the_data_is_the_manifests_or_else_the_cards() {
        let read = |json: &str, card: &str| {
            let texts = Texts { manifest: json.into(), card: card.into() };
            Manifest::read(&texts, &[kept("weights.safetensors", 3, "abc")]).unwrap().data_version
        };
        let says = JSON.replace("\"side\"", "\"data_version\":\"d1\",\"side\"");
        let card = "# m 1\n\nSplit by patient. Data version `d2`.\n";
        assert_eq!(read(JSON, ""), "");
        assert_eq!(read(JSON, card), "d2");
        assert_eq!(read(&says, card), "d1");
    }

    #[test]
    fn a_card_of_other_weights_is_refused_and_one_that_names_none_is_taken() {
        let read = |card: &str| {
            let texts = Texts { manifest: JSON.into(), card: card.into() };
            Manifest::read(&texts, &[kept("weights.safetensors", 3, "abc")])
        };
        for card in ["", "# m 1\n\n| SHA-256 | `abc` |\n", "# by hand", "| SHA-256 | `ab"] {
            assert!(read(card).is_ok(), "{card}");
        }
        let refused = read("# m 1\n\n| SHA-256 | `abd` |\n").unwrap_err().to_string();
        assert!(refused.contains("card.md tells of other weights"), "{refused}");
    }
}
