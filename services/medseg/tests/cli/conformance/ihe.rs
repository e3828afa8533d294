//! How results map to the IHE profile AI Results (Radiology, trial implementation, revision 1.2); each row names what stands in an
//! object that was written.

use std::fmt::Write;

use super::objects::Object;

/// What the profile calls it, in which object it is, how, and a text that has to stand in that object.
const MAPPED: [(&str, &str, &str, &str); 11] = [
    ("Root", "sr.dcm", "TID 1500, Imaging Measurement Report (126000, DCM)", "126000"),
    (
        "Qualitative finding",
        "sr.dcm",
        "Neoplasm (108369006, SCT) is Present (52101004) or Absent (272519000), Not performed or Indeterminate",
        "108369006",
    ),
    (
        "Measurement",
        "sr.dcm",
        "TID 1411, Measurement Group (125007, DCM): Volume (118565006, SCT) in mL",
        "118565006",
    ),
    (
        "Measurement",
        "sr.dcm",
        "Long axis (103339001, SCT) and Short axis (103340004, SCT) in mm, with SCOORD3D polylines",
        "103339001",
    ),
    (
        "Location",
        "sr.dcm",
        "Finding Site (363698007, SCT) is Brain, with Laterality (272741003, SCT) where it is known",
        "363698007",
    ),
    ("Region", "sr.dcm", "Bounded by (75958009, SCT): a box as SCOORD3D", "75958009"),
    (
        "Region",
        "seg.dcm",
        "a segment for each finding, Neoplasm or Mass in the Brain (12738006, SCT)",
        "12738006",
    ),
    ("Region", "sr.dcm", "Referenced Segment (121191, DCM) of `seg.dcm`", "121191"),
    (
        "Tracking identifier",
        "sr.dcm",
        "Tracking Unique Identifier (112040, DCM): that of the segment",
        "112040",
    ),
    (
        "Image reference",
        "sr.dcm",
        "Source series for segmentation (121232, DCM), and all images in the image library (111028, DCM)",
        "121232",
    ),
    (
        "Algorithm identification",
        "sr.dcm",
        "Algorithm Name (111001, DCM), Version (111003, DCM) and Parameters",
        "111001",
    ),
];

const NOT_THERE: &str = "
- Parametric maps, lines and points as results of their own, and Key Object Selections are not written.
- Actors: Evidence Creator. It stores its results by C-STORE and STOW-RS (RAD-43 and its counterpart) where the hospital wants them.
- Worklists of AI Workflow for Imaging (UPS-RS) are not served: analysis begins when a series is complete.
";

/// The mapping table, and that each row is true of what was written.
pub fn mapping(objects: &[Object]) -> String {
    let mut told = String::from(
        "## Mapping to IHE AI Results\n\nNo product has been tested at a Connectathon of IHE.\n\n| primitive | object | how |\n|---|---|---|\n",
    );
    for (primitive, name, how, text) in MAPPED {
        let object = objects.iter().find(|object| object.name == name);
        let holds = object.is_some_and(|object| object.holds(text));
        assert!(holds, "{text} does not stand in {name}: {primitive} is mapped otherwise");
        writeln!(told, "| {primitive} | `{name}` | {how} |").unwrap();
    }
    told + NOT_THERE
}
