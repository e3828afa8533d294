//! Whether images were ever compressed with loss: what is derived of them says so, too (PS3.3, C.7.6.1.1.5).

use domain::Identity;

/// What an image says of which something was lost.
pub const LOSSY: &str = "01";

/// Transfer syntaxes that always lose something, and what the method is called: JPEG baseline and extended, JPEG-LS near-lossless. That
/// of JPEG 2000 may be lossless, which the file itself says.
const METHODS: [(&str, &str); 3] = [
    ("1.2.840.10008.1.2.4.50", "ISO_10918_1"),
    ("1.2.840.10008.1.2.4.51", "ISO_10918_1"),
    ("1.2.840.10008.1.2.4.81", "ISO_14495_1"),
];

/// The method by which something was lost, as the transfer syntax tells it of a file that does not say that anything was.
pub fn unsaid(identity: &Identity, transfer_syntax: &str) -> Option<&'static str> {
    let method = METHODS.iter().find(|(uid, _)| *uid == transfer_syntax);
    method.filter(|_| !is_lossy(identity)).map(|(_, method)| *method)
}

/// With what the transfer syntax tells of a file that does not say it.
pub fn told(identity: Identity, transfer_syntax: &str) -> Identity {
    match unsaid(&identity, transfer_syntax) {
        Some(method) => Identity {
            lossy_image_compression: Some(LOSSY.to_owned()),
            lossy_image_compression_ratio: None,
            lossy_image_compression_method: Some(method.to_owned()),
            ..identity
        },
        None => identity,
    }
}

/// Whether it says that something was lost.
pub fn is_lossy(identity: &Identity) -> bool {
    identity.lossy_image_compression.as_deref() == Some(LOSSY)
}

/// That of a series, whose first image has said `first`: lossy where any of its images is.
pub fn of_all<'a>(first: Identity, mut all: impl Iterator<Item = &'a Identity>) -> Identity {
    let lossy = all.find(|identity| is_lossy(identity));
    match lossy {
        Some(lossy) => Identity {
            lossy_image_compression: lossy.lossy_image_compression.clone(),
            lossy_image_compression_ratio: lossy.lossy_image_compression_ratio.clone(),
            lossy_image_compression_method: lossy.lossy_image_compression_method.clone(),
            ..first
        },
        None => first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saying(lossy: Option<&str>, ratio: Option<&str>) -> Identity {
        Identity {
            lossy_image_compression: lossy.map(str::to_owned),
            lossy_image_compression_ratio: ratio.map(str::to_owned),
            ..Identity::default()
        }
    }

    #[test]
    fn a_loss_is_told_by_the_file_or_by_how_it_is_compressed() {
        let of = |identity: Identity, syntax: &str| {
            let told = told(identity, syntax);
            (told.lossy_image_compression, told.lossy_image_compression_method)
        };
        let some = |text: &str| Some(text.to_owned());
        let jpeg = "1.2.840.10008.1.2.4.50";
        assert_eq!(of(saying(None, None), jpeg), (some("01"), some("ISO_10918_1")));
        assert_eq!(of(saying(Some("00"), None), jpeg), (some("01"), some("ISO_10918_1")));
        assert_eq!(of(saying(Some("01"), Some("4")), jpeg), (some("01"), None));
        assert_eq!(of(saying(None, None), "1.2.840.10008.1.2.1"), (None, None));
    }

    #[test]
    fn a_series_is_lossy_where_any_of_its_images_is() {
        let all = [saying(Some("00"), None), saying(Some("01"), Some("4.5"))];
        let told = of_all(all[0].clone(), all.iter());
        assert_eq!(told, all[1]);
        assert_eq!(of_all(all[0].clone(), all[..1].iter()), all[0]);
    }
}
