//! Data elements, written by their tags.

use dicom_core::value::{DataSetSequence, PrimitiveValue};
use dicom_core::{DataElement, Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use imaging::encode::decimal_string;

/// A data set within another.
pub type Item = InMemDicomObject;
pub type Element = DataElement<InMemDicomObject>;

/// Letters that a short string (SH) and a long string (LO) hold.
const SHORT_STRING: usize = 16;
const LONG_STRING: usize = 64;

/// A coded concept (PS3.16): its value, the scheme that it is of, and what it means.
#[derive(Clone, Copy)]
pub struct Code(pub &'static str, pub &'static str, pub &'static str);

pub fn item(elements: Vec<Element>) -> Item {
    InMemDicomObject::from_element_iter(elements)
}

pub fn text(tag: Tag, vr: VR, value: impl Into<String>) -> Element {
    DataElement::new(tag, vr, PrimitiveValue::from(value.into()))
}

/// Names that are longer than a value may be are cut.
pub fn long_string(tag: Tag, value: &str) -> Element {
    text(tag, VR::LO, value.chars().take(LONG_STRING).collect::<String>())
}

/// An element that has to be there and may be empty.
pub fn known(tag: Tag, vr: VR, value: Option<&String>) -> Element {
    text(tag, vr, value.filter(|value| fits(vr, value)).cloned().unwrap_or_default())
}

/// Whether a value can be written at all: dates and coded words are of ASCII letters, whatever character set the others are in, and a
/// file that says otherwise says nothing there.
pub fn fits(vr: VR, value: &str) -> bool {
    // A short string that is longer is none, and cut it would be another order's or study's.
    if vr == VR::SH && value.chars().count() > SHORT_STRING {
        return false;
    }
    value.is_ascii() || !matches!(vr, VR::AS | VR::CS | VR::DA | VR::TM)
}

pub fn whole(tag: Tag, value: u16) -> Element {
    DataElement::new(tag, VR::US, PrimitiveValue::from(value))
}

pub fn wholes(tag: Tag, vr: VR, values: Vec<u32>) -> Element {
    DataElement::new(tag, vr, PrimitiveValue::U32(values.into()))
}

pub fn decimals(tag: Tag, values: &[f64]) -> Element {
    let decimals: Vec<String> = values.iter().copied().map(decimal_string).collect();
    text(tag, VR::DS, decimals.join("\\"))
}

pub fn floats(tag: Tag, values: Vec<f32>) -> Element {
    DataElement::new(tag, VR::FL, PrimitiveValue::F32(values.into()))
}

pub fn pointer(tag: Tag, value: Tag) -> Element {
    DataElement::new(tag, VR::AT, PrimitiveValue::Tags(vec![value].into()))
}

/// Bytes, with one more where they are of an odd number, as all values are of an even one.
pub fn bytes(tag: Tag, mut value: Vec<u8>) -> Element {
    if value.len() % 2 == 1 {
        value.push(0);
    }
    DataElement::new(tag, VR::OB, PrimitiveValue::U8(value.into()))
}

pub fn sequence(tag: Tag, items: Vec<Item>) -> Element {
    DataElement::new(tag, VR::SQ, DataSetSequence::from(items))
}

pub fn code(tag: Tag, code: Code) -> Element {
    let Code(value, scheme, meaning) = code;
    let coded = vec![
        text(tags::CODE_VALUE, VR::SH, value),
        text(tags::CODING_SCHEME_DESIGNATOR, VR::SH, scheme),
        text(tags::CODE_MEANING, VR::LO, meaning),
    ];
    sequence(tag, vec![item(coded)])
}

/// A reference to one instance, and to what of it.
pub fn reference(class: &str, instance: &str, part: Option<Element>) -> Item {
    let mut elements = vec![
        text(tags::REFERENCED_SOP_CLASS_UID, VR::UI, class),
        text(tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, instance),
    ];
    elements.extend(part);
    item(elements)
}
