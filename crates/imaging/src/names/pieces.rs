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
/// Words whose number is that of a slice where no other follows: `IM-0003-0001` begins with that of the series.
const FRAME_WORDS: [&str; 6] = ["frame", "im", "image", "images", "img", "instance"];
/// Words whose number says of which patient, visit, sequence or part of a data set a file is, and never which slice.
const KEY_WORDS: &str = "acq axt case cases cort day dyn echo exam fu id month participant pat patient patients phase \
    pid pt run sagt se seq sequence ser series ses session study sub subj subject subjects t te test ti time timepoint \
    tp tr train training v val validation visit vol volume week year";
/// Words whose number may be a b-value.
const B_WORDS: [&str; 2] = ["b", "dwi"];
/// Dates of a visit, perhaps with the time.
const DATES: [&str; 5] = ["YYYYMMDDhhmmss", "YYYYMMDDhhmm", "YYYYMMDD", "YYYY-MM-DD", "DD.MM.YYYY"];

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Piece {
    /// Digits without leading zeros, with decimals if there are any.
    Number(String),
    /// A word in lower case, a date, or the `/` behind a folder.
    Text(String),
}

impl Piece {
    /// Whether it says that a file is a mask, or a folder holds masks.
    pub fn is_mask_word(&self) -> bool {
        self.is_of(&MASK_WORDS)
    }

    /// Whether the number after it is surely that of a slice.
    pub fn is_slice_word(&self) -> bool {
        self.is_of(&SLICE_WORDS)
    }

    /// Whether the number after it is that of a slice where no other number follows.
    pub fn is_frame_word(&self) -> bool {
        self.is_of(&FRAME_WORDS)
    }

    /// Whether the number after it never is that of a slice.
    pub fn is_key_word(&self) -> bool {
        matches!(self, Piece::Text(text) if KEY_WORDS.split(' ').any(|word| word == text))
    }

    /// Whether the number after it may be a b-value of diffusion imaging.
    pub fn is_b_word(&self) -> bool {
        self.is_of(&B_WORDS)
    }

    /// Whether it stands where the name of a mask has a mask's word.
    pub fn is_image_word(&self) -> bool {
        self.is_of(&IMAGE_WORDS)
    }

    /// Whether it is one of those words; `words` are in lower case.
    pub fn is_of(&self, words: &[&str]) -> bool {
        matches!(self, Piece::Text(text) if words.contains(&text.as_str()))
    }
}

/// Words and numbers of a path, without the extension.
pub(super) fn pieces(name: &str) -> Vec<Piece> {
    let name = name.trim_start_matches(['.', '/', '\\']);
    let mut pieces = Vec::<Piece>::new();
    let mut rest = without_extension(name);
    while let Some(first) = rest.chars().next() {
        let date = date_length(rest);
        let length = if let Some(date) = date {
            date
        } else if first.is_ascii_digit() {
            // `T2.001` is slice 1 of T2.
            let whole = pieces.last().is_some_and(|word| word.is_key_word() || word.is_b_word());
            if whole { digits(rest) } else { number_length(rest) }
        } else if first.is_alphabetic() || first == '\u{fffd}' {
            word_length(rest)
        } else {
            if matches!(first, '/' | '\\') {
                pieces.push(Piece::Text("/".into()));
            }
            rest = &rest[first.len_utf8()..];
            continue;
        };
        let (piece, behind) = rest.split_at(length);
        pieces.push(match first.is_ascii_digit() && date.is_none() {
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

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

fn date_length(text: &str) -> Option<usize> {
    DATES.iter().find(|layout| is_date(text, layout)).map(|layout| layout.len())
}

fn is_date(text: &str, layout: &str) -> bool {
    let Some((date, behind)) = text.split_at_checked(layout.len()) else { return false };
    let fits = |(byte, place): (u8, u8)| match place.is_ascii_alphabetic() {
        true => byte.is_ascii_digit(),
        false => byte == place,
    };
    let within = |place: &str, least: u32, most: u32| {
        let value = layout.find(place).and_then(|at| date[at..at + place.len()].parse().ok());
        value.is_some_and(|value: u32| (least..=most).contains(&value))
    };
    digits(behind) == 0
        && date.bytes().zip(layout.bytes()).all(fits)
        && within("YYYY", 1900, 2099)
        && within("MM", 1, 12)
        && within("DD", 1, 31)
}

fn number_length(text: &str) -> usize {
    let whole = digits(text);
    let behind = text[whole..].strip_prefix('.').filter(|behind| date_length(behind).is_none());
    match behind.map(digits) {
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
