//! The coded concepts that are used, by PS3.16 and the schemes that it takes from elsewhere.

use super::element::Code;

pub const BRAIN: Code = Code("12738006", "SCT", "Brain");
pub const ABNORMAL: Code = Code("49755003", "SCT", "Morphologically Abnormal Structure");
pub const NEOPLASM: Code = Code("108369006", "SCT", "Neoplasm");
/// What lies apart from the one tumour that was to be expected: no claim of what it is.
pub const MASS: Code = Code("4147007", "SCT", "Mass");
pub const ARTIFICIAL_INTELLIGENCE: Code = Code("123110", "DCM", "Artificial Intelligence");
pub const SEGMENTATION: Code = Code("113076", "DCM", "Segmentation");
pub const SOURCE_IMAGE: Code = Code("121322", "DCM", "Source image for image processing operation");

pub const MEASUREMENT_REPORT: Code = Code("126000", "DCM", "Imaging Measurement Report");
pub const LANGUAGE: Code = Code("121049", "DCM", "Language of Content Item and Descendants");
pub const ENGLISH: Code = Code("en", "RFC5646", "English");
pub const OBSERVER_TYPE: Code = Code("121005", "DCM", "Observer Type");
pub const DEVICE: Code = Code("121007", "DCM", "Device");
pub const DEVICE_UID: Code = Code("121012", "DCM", "Device Observer UID");
pub const DEVICE_NAME: Code = Code("121013", "DCM", "Device Observer Name");
pub const DEVICE_MANUFACTURER: Code = Code("121014", "DCM", "Device Observer Manufacturer");
pub const DEVICE_MODEL: Code = Code("121015", "DCM", "Device Observer Model Name");
pub const DEVICE_SERIAL: Code = Code("121016", "DCM", "Device Observer Serial Number");
pub const PROCEDURE: Code = Code("121058", "DCM", "Procedure reported");
pub const MR_IMAGING: Code = Code("113091000", "SCT", "Magnetic resonance imaging");
pub const CT_IMAGING: Code = Code("77477000", "SCT", "Computed tomography");
pub const IMAGING: Code = Code("363679005", "SCT", "Imaging procedure");
pub const STUDY_UID: Code = Code("110180", "DCM", "Study Instance UID");
pub const IMAGE_LIBRARY: Code = Code("111028", "DCM", "Image Library");
pub const LIBRARY_GROUP: Code = Code("126200", "DCM", "Image Library Group");
pub const MODALITY: Code = Code("121139", "DCM", "Modality");
pub const MR: Code = Code("MR", "DCM", "Magnetic Resonance");
pub const CT: Code = Code("CT", "DCM", "Computed Tomography");
pub const OTHER: Code = Code("OT", "DCM", "Other");

pub const MEASUREMENTS: Code = Code("126010", "DCM", "Imaging Measurements");
pub const MEASUREMENT_GROUP: Code = Code("125007", "DCM", "Measurement Group");
pub const TRACKING_IDENTIFIER: Code = Code("112039", "DCM", "Tracking Identifier");
pub const TRACKING_UID: Code = Code("112040", "DCM", "Tracking Unique Identifier");
pub const FINDING: Code = Code("121071", "DCM", "Finding");
pub const FINDING_SITE: Code = Code("363698007", "SCT", "Finding Site");
pub const LATERALITY: Code = Code("272741003", "SCT", "Laterality");
pub const LEFT: Code = Code("7771000", "SCT", "Left");
pub const RIGHT: Code = Code("24028007", "SCT", "Right");
/// And not "right and left": what lies on the middle need not be on both sides.
pub const MIDLINE: Code = Code("399488007", "SCT", "Midline");
pub const ALGORITHM_NAME: Code = Code("111001", "DCM", "Algorithm Name");
pub const ALGORITHM_VERSION: Code = Code("111003", "DCM", "Algorithm Version");
pub const ALGORITHM_PARAMETERS: Code = Code("111002", "DCM", "Algorithm Parameters");
pub const REFERENCED_SEGMENT: Code = Code("121191", "DCM", "Referenced Segment");
pub const SOURCE_SERIES: Code = Code("121232", "DCM", "Source series for segmentation");
pub const VOLUME: Code = Code("118565006", "SCT", "Volume");
pub const AREA: Code = Code("42798000", "SCT", "Area");
pub const LONG_AXIS: Code = Code("103339001", "SCT", "Long axis");
pub const SHORT_AXIS: Code = Code("103340004", "SCT", "Short axis");
pub const PATH: Code = Code("121055", "DCM", "Path");
pub const CERTAINTY: Code = Code("111012", "DCM", "Certainty of Finding");
pub const PURPOSE_OF_REGION: Code = Code("130400", "DCM", "Geometric purpose of region");
pub const BOUNDED_BY: Code = Code("75958009", "SCT", "Bounded by");
pub const VOLUME_SURFACE: Code = Code("121231", "DCM", "Volume Surface");

pub const QUALITATIVE: Code = Code("C0034375", "UMLS", "Qualitative Evaluations");
pub const COMMENT: Code = Code("121106", "DCM", "Comment");
pub const PRESENT: Code = Code("52101004", "SCT", "Present");
pub const ABSENT: Code = Code("272519000", "SCT", "Absent");
pub const INDETERMINATE: Code = Code("82334004", "SCT", "Indeterminate");
pub const NOT_PERFORMED: Code = Code("262008008", "SCT", "Not performed");
/// Our own, so that a program needs no guess at which of the four it is.
pub const ANSWER: Code = Code("ANSWER", "99MEDSEG", "Answer of the analysis");
pub const FOUND: Code = Code("FOUND", "99MEDSEG", "Tumour region found");
pub const NONE_FOUND: Code = Code("NONE_FOUND", "99MEDSEG", "None found");
pub const NOT_ANALYSABLE: Code = Code("NOT_ANALYSABLE", "99MEDSEG", "Not analysable");
pub const FAILED: Code = Code("FAILED", "99MEDSEG", "Analysis failed");

pub const MILLILITRE: Code = Code("mL", "UCUM", "milliliter");
pub const SQUARE_MILLIMETRE: Code = Code("mm2", "UCUM", "square millimeter");
pub const MILLIMETRE: Code = Code("mm", "UCUM", "millimeter");
pub const PIXEL: Code = Code("{pixels}", "UCUM", "pixels");
pub const PERCENT: Code = Code("%", "UCUM", "percent");

pub const FINDINGS: Code = Code("121070", "DCM", "Findings");
pub const CONCLUSIONS: Code = Code("121076", "DCM", "Conclusions");
pub const CONCLUSION: Code = Code("121077", "DCM", "Conclusion");
pub const DIAGNOSTIC_REPORT: Code = Code("18748-4", "LN", "Diagnostic imaging report");
