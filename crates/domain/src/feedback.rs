//! What readers say of results, by the names that SQL, JSON and events have for it.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::Answer;

macro_rules! named {
    ($(
        $(#[$doc:meta])*
        $name:ident { $($(#[$variant_doc:meta])* $variant:ident,)* }
    )*) => { $(
        #[derive(
            Clone,
            Copy,
            Debug,
            Deserialize,
            EnumString,
            Eq,
            Hash,
            IntoStaticStr,
            Ord,
            PartialEq,
            PartialOrd,
            Serialize,
            VariantArray,
        )]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(rename_all = "snake_case")]
        #[strum(serialize_all = "snake_case")]
        $(#[$doc])*
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// The name used in SQL, JSON, events and pages.
            pub fn name(self) -> &'static str {
                self.into()
            }

            /// The one of that [`name`](Self::name).
            pub fn named(name: &str) -> Option<$name> {
                name.parse().ok()
            }
        }
    )* };
}

named! {
    /// What a reader makes of a result.
    #[cfg_attr(feature = "openapi", schema(as = FeedbackVerdict))]
    Verdict {
        /// It is right.
        Agree,
        /// It is not quite right, and the reader shows what is.
        Correct,
        /// It is wrong.
        Reject,
        /// The reader cannot tell.
        Unsure,
    }

    /// What a reader makes of one finding.
    FindingVerdict {
        /// There is a tumour.
        Agree,
        /// There is none.
        Reject,
        /// The reader cannot tell.
        Unsure,
    }

    /// Whether the head has a tumour, as a reader says.
    Truth {
        /// It has one, or several.
        Tumour,
        /// It has none.
        NoTumour,
    }

    /// Why a reader does not agree.
    #[cfg_attr(feature = "openapi", schema(as = FeedbackReason))]
    Reason {
        /// Something was not found.
        Missed,
        /// Something was found that is none.
        FalseFinding,
        /// It is there, and has another outline.
        Outline,
        /// It is on the other side of the head.
        WrongSide,
        /// The image is too poor to tell.
        Quality,
        /// What the note says.
        Other,
    }

    /// What the latest words of a scan's readers come to.
    ReviewState {
        /// Nobody has said anything.
        Unreviewed,
        /// All agree.
        Agreed,
        /// All correct it.
        Corrected,
        /// All reject it.
        Rejected,
        /// Nobody can tell.
        Unsure,
        /// They differ.
        Conflict,
    }

    /// Where the mask of a scan is from that may be learned from.
    MaskSource {
        /// Its readers agree with the model's.
        Model,
        /// A reader has drawn it.
        Reader,
        /// There is no tumour, so nothing is marked.
        Empty,
    }

    /// Why a scan that was judged is not to be learned from.
    Unconfirmed {
        /// Its readers differ, and nobody has settled it.
        Conflict,
        /// They say that the result is wrong, and not what is right.
        Rejected,
        /// They cannot tell.
        Unsure,
        /// It was not analysed, or the analysis has failed.
        NotAnalysed,
        /// It was corrected without an outline.
        NoOutline,
        /// Several readers have drawn an outline, and nobody has said which is right.
        SeveralOutlines,
        /// The result has no mask that could be agreed with.
        NoMask,
    }
}

impl Truth {
    /// Whether there is a tumour: as the reader says, or as follows from their verdict on that answer. None where neither does.
    pub fn said(verdict: Verdict, truth: Option<Truth>, answer: Answer) -> Option<Truth> {
        match (verdict, truth, answer) {
            // Whoever is unsure says nothing that can be counted.
            (Verdict::Unsure, ..) => None,
            (_, Some(truth), _) => Some(truth),
            (Verdict::Agree, None, Answer::Found) => Some(Truth::Tumour),
            (Verdict::Agree, None, Answer::NoneFound) => Some(Truth::NoTumour),
            // They have drawn one, pointed to it or left one of the findings: of any other correction storage wants the truth.
            (Verdict::Correct, None, _) => Some(Truth::Tumour),
            // What is rejected may be a false finding, a wrong side or a bad image.
            (Verdict::Agree | Verdict::Reject, None, _) => None,
        }
    }

    /// Whether that answer is wrong: a tumour was found where there is none, or none where there is one. None where there is no answer.
    pub fn refutes(self, answer: Answer) -> Option<bool> {
        match answer {
            Answer::Found => Some(self == Truth::NoTumour),
            Answer::NoneFound => Some(self == Truth::Tumour),
            Answer::NotAnalysable | Answer::Failed => None,
        }
    }
}

/// What one reader says of one result.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = FeedbackWord))]
#[serde(deny_unknown_fields)]
pub struct Word {
    /// What they make of it.
    pub verdict: Verdict,
    /// Whether the head has a tumour.
    #[serde(default)]
    pub truth: Option<Truth>,
    /// Why they do not agree.
    #[serde(default)]
    pub reason: Option<Reason>,
    /// In their own words; at most [`NOTE_CHARS_MAX`](crate::limits::NOTE_CHARS_MAX) characters. Never logged.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(max_length = 2000))]
    pub note: String,
    /// What they make of findings that the result has, each once.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(max_items = 1000))]
    pub findings: Vec<JudgedFinding>,
    /// Where nothing was found, and something is.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(max_items = 100))]
    pub missed: Vec<Place>,
    /// The ids of what others have said of the same scan and this word settles: it stands as it is, and counts no more. For the
    /// role `adjudicator`, and for nobody who has given one of the verdicts that differ.
    // Left out where there is none: else the same word would have another fingerprint than before there were any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(max_items = 32))]
    pub adjudicates: Vec<String>,
}

/// What a reader makes of one finding.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct JudgedFinding {
    /// The finding's, as the result has it: from 1.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub label: u32,
    /// Whether it is one.
    pub verdict: FindingVerdict,
    /// Why they do not agree with it.
    // Left out where there is none, as the note: else the same word would have another fingerprint than before there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// What they note of it; at most [`NOTE_CHARS_MAX`](crate::limits::NOTE_CHARS_MAX) characters. Never logged.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[cfg_attr(feature = "openapi", schema(max_length = 2000))]
    pub note: String,
}

impl JudgedFinding {
    /// That verdict on the finding with that label, and nothing more.
    pub fn bare(label: u32, verdict: FindingVerdict) -> JudgedFinding {
        JudgedFinding { label, verdict, reason: None, note: String::new() }
    }
}

/// A voxel of the pictures.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// From 0, as the slices of the pictures are counted.
    pub slice: u32,
    /// From 0 at the top.
    pub row: u32,
    /// From 0 at the left.
    pub column: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_says_the_same_names() {
        macro_rules! has_names {
            ($($name:ident: $expected:expr;)*) => { $(
                let names: Vec<&str> = $name::VARIANTS.iter().map(|one| one.name()).collect();
                assert_eq!(names, $expected);
                for &one in $name::VARIANTS {
                    assert_eq!($name::named(one.name()), Some(one));
                    assert_eq!(serde_json::to_value(one).unwrap(), one.name());
                }
            )* };
        }
        has_names! {
            Verdict: ["agree", "correct", "reject", "unsure"];
            FindingVerdict: ["agree", "reject", "unsure"];
            Truth: ["tumour", "no_tumour"];
            Reason: ["missed", "false_finding", "outline", "wrong_side", "quality", "other"];
            ReviewState: ["unreviewed", "agreed", "corrected", "rejected", "unsure", "conflict"];
            MaskSource: ["model", "reader", "empty"];
            Unconfirmed: [
                "conflict", "rejected", "unsure", "not_analysed", "no_outline", "several_outlines", "no_mask"
            ];
        }
        assert_eq!(Verdict::named("Agree"), None);
    }

    #[test]
    fn a_truth_refutes_the_other_answer_and_says_nothing_where_there_is_none() {
        use Answer::{Failed, Found, NoneFound, NotAnalysable};
        let refutes =
            |truth: Truth| [Found, NoneFound, NotAnalysable, Failed].map(|it| truth.refutes(it));
        assert_eq!(refutes(Truth::Tumour), [Some(false), Some(true), None, None]);
        assert_eq!(refutes(Truth::NoTumour), [Some(true), Some(false), None, None]);
    }

    #[test]
    fn a_word_is_a_verdict_and_whatever_else_is_said_and_nothing_that_nobody_knows() {
        let bare: Word = serde_json::from_str(r#"{"verdict":"unsure"}"#).unwrap();
        let expected = Word {
            verdict: Verdict::Unsure,
            truth: None,
            reason: None,
            note: String::new(),
            findings: Vec::new(),
            missed: Vec::new(),
            adjudicates: Vec::new(),
        };
        assert_eq!(bare, expected);
        let json = concat!(
            r#"{"verdict":"correct","truth":"tumour","reason":"missed","note":"here","#,
            r#""findings":[{"label":1,"verdict":"reject"}],"missed":[{"slice":2,"row":3,"column":4}]}"#,
        );
        let full: Word = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&full).unwrap(), json);
        let why = r#"{"label":2,"verdict":"unsure","reason":"quality","note":"a vessel?"}"#;
        let finding: JudgedFinding = serde_json::from_str(why).unwrap();
        let (reason, note) = (Some(Reason::Quality), "a vessel?".to_owned());
        let expected = JudgedFinding { label: 2, verdict: FindingVerdict::Unsure, reason, note };
        assert_eq!(finding, expected);
        assert_eq!(serde_json::to_string(&finding).unwrap(), why);
        let settling: Word =
            serde_json::from_str(r#"{"verdict":"agree","adjudicates":["a","b"]}"#).unwrap();
        assert_eq!(settling.adjudicates, ["a", "b"]);
        assert!(serde_json::to_string(&settling).unwrap().contains(r#""adjudicates":["a","b"]"#));
        for strange in [
            "{}",
            r#"{"verdict":"maybe"}"#,
            r#"{"verdict":"agree","reader":"somebody else"}"#,
            r#"{"verdict":"reject","findings":[{"label":1,"verdict":"correct"}]}"#,
        ] {
            assert!(serde_json::from_str::<Word>(strange).is_err(), "{strange}");
        }
    }
}
