//! Content items (PS3.3 C.17.3): nodes of a structured report.

use dicom_core::VR;
use dicom_dictionary_std::tags;

use super::{named, template};
use crate::dicom::element::{Code, Element, Item, code, decimals, floats, item, sequence, text};

/// How a node is related to the one above it.
#[derive(Clone, Copy)]
pub enum Relation {
    Contains,
    Observes,
    Acquired,
    Modifies,
    Inferred,
}

impl Relation {
    fn term(self) -> &'static str {
        match self {
            Relation::Contains => "CONTAINS",
            Relation::Observes => "HAS OBS CONTEXT",
            Relation::Acquired => "HAS ACQ CONTEXT",
            Relation::Modifies => "HAS CONCEPT MOD",
            Relation::Inferred => "INFERRED FROM",
        }
    }
}

/// A node with what is below it. Its first element is its relation.
pub struct Content(Vec<Element>);

impl Content {
    fn new(
        relation: Relation,
        value_type: &str,
        concept: Option<Code>,
        value: Vec<Element>,
    ) -> Content {
        let mut elements = vec![
            text(tags::RELATIONSHIP_TYPE, VR::CS, relation.term()),
            text(tags::VALUE_TYPE, VR::CS, value_type),
        ];
        elements.extend(concept.map(named));
        elements.extend(value);
        Content(elements)
    }

    /// The same with nodes below it.
    pub fn with(mut self, below: Vec<Content>) -> Content {
        if !below.is_empty() {
            self.0.push(sequence(
                tags::CONTENT_SEQUENCE,
                below.into_iter().map(Content::item).collect(),
            ));
        }
        self
    }

    pub fn container(
        relation: Relation,
        concept: Code,
        follows: Option<&str>,
        below: Vec<Content>,
    ) -> Content {
        let mut value = vec![text(tags::CONTINUITY_OF_CONTENT, VR::CS, "SEPARATE")];
        value.extend(follows.map(template));
        Content::new(relation, "CONTAINER", Some(concept), value).with(below)
    }

    pub fn code(relation: Relation, concept: Code, value: Code) -> Content {
        Content::new(
            relation,
            "CODE",
            Some(concept),
            vec![code(tags::CONCEPT_CODE_SEQUENCE, value)],
        )
    }

    pub fn text(relation: Relation, concept: Code, words: &str) -> Content {
        Content::new(relation, "TEXT", Some(concept), vec![text(tags::TEXT_VALUE, VR::UT, words)])
    }

    pub fn uid(relation: Relation, concept: Code, uid: &str) -> Content {
        Content::new(relation, "UIDREF", Some(concept), vec![text(tags::UID, VR::UI, uid)])
    }

    pub fn number(concept: Code, value: f64, unit: Code) -> Content {
        let measured = item(vec![
            decimals(tags::NUMERIC_VALUE, &[value]),
            code(tags::MEASUREMENT_UNITS_CODE_SEQUENCE, unit),
        ]);
        let measured = sequence(tags::MEASURED_VALUE_SEQUENCE, vec![measured]);
        Content::new(Relation::Contains, "NUM", Some(concept), vec![measured])
    }

    pub fn image(relation: Relation, concept: Option<Code>, image: Item) -> Content {
        Content::new(
            relation,
            "IMAGE",
            concept,
            vec![sequence(tags::REFERENCED_SOP_SEQUENCE, vec![image])],
        )
    }

    /// A line or an outline in the patient (LPS, millimetres), in the coordinates that the frame of reference names.
    pub fn drawn(
        relation: Relation,
        concept: Code,
        graphic: &str,
        points: &[[f64; 3]],
        frame_of_reference: &str,
    ) -> Content {
        let coordinates = points.iter().flatten().map(|part| *part as f32).collect();
        let value = vec![
            text(tags::GRAPHIC_TYPE, VR::CS, graphic),
            floats(tags::GRAPHIC_DATA, coordinates),
            text(tags::REFERENCED_FRAME_OF_REFERENCE_UID, VR::UI, frame_of_reference),
        ];
        Content::new(relation, "SCOORD3D", Some(concept), value)
    }

    pub fn elements(self) -> Vec<Element> {
        self.0
    }

    fn item(self) -> Item {
        item(self.0)
    }
}
