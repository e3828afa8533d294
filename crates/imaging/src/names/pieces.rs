//! A path, taken apart into words and numbers.

/// Words that people put into the names of masks, or of the folders that hold them.
const MASK_WORDS: [&str; 16] = [
    "annotation",
    "annotations",
    "gt",
    "groundtruth",
    "label",
    "labelmap",
    "labels",
    "mask",
    "masks",
    "roi",
    "seg",
    "segm",
    "segmentation",
    "segmentations",
    "truth",
    "tumormask",
];
/// Words that stand in the place of those in the names of the images beside them.
const IMAGE_WORDS: [&str; 5] = ["image", "images", "img", "imgs", "scan"];
/// Words that stand before the number of a slice.
const SLICE_WORDS: [&str; 4] = ["sl", "slice", "slices", "z"];

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Piece {
    /// Digits without leading zeros, with decimals if there are any.
    Number(String),
    /// A word in lower case.
    Text(String),
}

impl Piece {
    pub fn is_mask_word(&self) -> bool {
        matches!(self, Piece::Text(text) if MASK_WORDS.contains(&text.as_str()))
    }

    pub fn is_slice_word(&self) -> bool {
        matches!(self, Piece::Text(text) if SLICE_WORDS.contains(&text.as_str()))
    }

    pub fn is_image_word(&self) -> bool {
        matches!(self, Piece::Text(text) if IMAGE_WORDS.contains(&text.as_str()))
    }
}

/// Words and numbers of a path, without the extension.
pub(super) fn pieces(name: &str) -> Vec<Piece> {
    let name = name.trim_start_matches(['.', '/', '\\']);
    let mut pieces = Vec::new();
    let (mut rest, mut folder_ends) = (without_extension(name), false);
    while let Some(first) = rest.chars().next() {
        let length = if first.is_ascii_digit() {
            number_length(rest)
        } else if first.is_alphabetic() || first == '\u{fffd}' {
            word_length(rest)
        } else {
            folder_ends |= matches!(first, '/' | '\\');
            rest = &rest[first.len_utf8()..];
            continue;
        };
        let (piece, behind) = rest.split_at(length);
        if std::mem::take(&mut folder_ends) {
            pieces.push(Piece::Text("/".into()));
        }
        pieces.push(match first.is_ascii_digit() {
            true => Piece::Number(number(piece)),
            false => Piece::Text(piece.to_lowercase()),
        });
        rest = behind;
    }
    pieces
}

fn number(digits: &str) -> String {
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() || significant.starts_with('.') {
        return format!("0{significant}");
    }
    significant.to_owned()
}

fn number_length(text: &str) -> usize {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(text);
    match text[whole..].strip_prefix('.').map(digits) {
        // Of a decimal, not of an identifier of many parts.
        Some(decimals @ 1..) if !text[whole + 1 + decimals..].starts_with('.') => {
            whole + 1 + decimals
        }
        _ => whole,
    }
}

/// Up to where letters end or a capital follows a small one: `brainMask` is two words.
fn word_length(text: &str) -> usize {
    let mut before = None;
    for (at, c) in text.char_indices() {
        let letter = c.is_alphabetic() || c == '\u{fffd}';
        let hump = c.is_uppercase() && before.is_some_and(char::is_lowercase);
        if !letter || hump {
            return at;
        }
        before = Some(c);
    }
    text.len()
}

fn without_extension(name: &str) -> &str {
    const EXTENSION_MAX: usize = 5;
    let file = name.rfind(['/', '\\']).map_or(0, |at| at + 1);
    match name[file..].rfind('.') {
        // `.nii.gz` is two.
        Some(at) if at > 0 && name[file + at..].eq_ignore_ascii_case(".gz") => {
            without_extension(&name[..file + at])
        }
        Some(at) if at > 0 && is_extension(&name[file + at + 1..], EXTENSION_MAX) => {
            &name[..file + at]
        }
        _ => name,
    }
}

fn is_extension(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && text.bytes().any(|byte| byte.is_ascii_alphabetic())
}
