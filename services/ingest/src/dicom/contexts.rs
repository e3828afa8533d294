//! What is negotiated of an association (PS3.8, 7.1.1): which classes in which transfer syntaxes.

use dicom_ul::pdu::{
    PresentationContextProposed, PresentationContextResult, PresentationContextResultReason,
};

use super::commitment;

/// DICOM's own (PS3.7, annex A.2.1), the only one there is.
pub const APPLICATION_CONTEXT: &str = "1.2.840.10008.3.1.1.1";
pub const VERIFICATION: &str = "1.2.840.10008.1.1";
pub const IMPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2";
const EXPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";

/// One presentation context that was proposed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Context {
    pub id: u8,
    pub sop_class: String,
    /// Why not, where it is not accepted.
    pub transfer_syntax: Result<String, PresentationContextResultReason>,
}

/// Each of them with what becomes of it: classes that may hold slices, in the first of their transfer syntaxes that is decoded.
pub fn negotiated(proposed: Vec<PresentationContextProposed>) -> Vec<Context> {
    proposed.into_iter().map(Context::of).collect()
}

impl Context {
    fn of(proposed: PresentationContextProposed) -> Context {
        let sop_class = trimmed(&proposed.abstract_syntax).to_owned();
        let offered = proposed.transfer_syntaxes.iter().map(|syntax| trimmed(syntax));
        let transfer_syntax = match taken(&sop_class) {
            [] => Err(PresentationContextResultReason::AbstractSyntaxNotSupported),
            known => offered
                .map(str::to_owned)
                .find(|syntax| known.contains(&syntax.as_str()))
                .ok_or(PresentationContextResultReason::TransferSyntaxesNotSupported),
        };
        Context { id: proposed.id, sop_class, transfer_syntax }
    }

    /// How it is answered.
    pub fn result(&self) -> PresentationContextResult {
        let (reason, transfer_syntax) = match &self.transfer_syntax {
            Ok(syntax) => (PresentationContextResultReason::Acceptance, syntax.as_str()),
            // It is not looked at (PS3.8, 9.3.3.2).
            Err(reason) => (reason.clone(), IMPLICIT_VR_LITTLE_ENDIAN),
        };
        PresentationContextResult {
            id: self.id,
            reason,
            transfer_syntax: transfer_syntax.to_owned(),
        }
    }
}

/// The transfer syntaxes in which a class is taken; none: it is not.
pub fn taken(sop_class: &str) -> &'static [&'static str] {
    match sop_class {
        VERIFICATION => &[IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN],
        // Its data sets are read here, in the one form that everybody speaks.
        commitment::CLASS => &[IMPLICIT_VR_LITTLE_ENDIAN],
        class if imaging::may_be_image(class) => imaging::transfer_syntaxes(),
        _ => &[],
    }
}

/// Some senders pad UIDs here, too.
fn trimmed(uid: &str) -> &str {
    uid.trim_end_matches(['\0', ' '])
}

#[cfg(test)]
mod tests {
    use super::*;

    const MR: &str = "1.2.840.10008.5.1.4.1.1.4";
    const REPORT: &str = "1.2.840.10008.5.1.4.1.1.88.33";
    const HTJ2K: &str = "1.2.840.10008.1.2.4.202";
    const JPEG_LS: &str = "1.2.840.10008.1.2.4.80";

    fn answer(class: &str, syntaxes: &[&str]) -> Result<String, PresentationContextResultReason> {
        let transfer_syntaxes = syntaxes.iter().map(|syntax| (*syntax).to_owned()).collect();
        let proposed =
            PresentationContextProposed { id: 3, abstract_syntax: class.into(), transfer_syntaxes };
        let mut contexts = negotiated(vec![proposed]);
        assert_eq!(contexts[0].result().id, 3);
        contexts.remove(0).transfer_syntax
    }

    #[test]
    fn the_senders_first_choice_that_is_decoded_is_taken() {
        assert_eq!(answer(MR, &[HTJ2K, JPEG_LS, IMPLICIT_VR_LITTLE_ENDIAN]), Ok(JPEG_LS.into()));
        assert_eq!(
            answer(&format!("{MR}\0"), &["1.2.840.10008.1.2\0"]).as_deref(),
            Ok("1.2.840.10008.1.2")
        );
        let commitment = answer(commitment::CLASS, &["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"]);
        assert_eq!(commitment, Ok(IMPLICIT_VR_LITTLE_ENDIAN.into()));
        let echo = answer(VERIFICATION, &[IMPLICIT_VR_LITTLE_ENDIAN]);
        assert_eq!(echo, Ok(IMPLICIT_VR_LITTLE_ENDIAN.into()));
    }

    #[test]
    fn what_is_not_taken_is_told_why() {
        use PresentationContextResultReason::*;
        assert_eq!(answer(MR, &[HTJ2K]), Err(TransferSyntaxesNotSupported));
        assert_eq!(answer(MR, &[]), Err(TransferSyntaxesNotSupported));
        assert_eq!(answer(REPORT, &[IMPLICIT_VR_LITTLE_ENDIAN]), Err(AbstractSyntaxNotSupported));
        assert_eq!(answer(VERIFICATION, &[JPEG_LS]), Err(TransferSyntaxesNotSupported));
    }
}
