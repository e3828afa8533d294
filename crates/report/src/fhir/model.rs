//! The part of FHIR R4 (4.0.1) that is written, by the names that it has there.

use std::borrow::Cow;

use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bundle {
    pub resource_type: &'static str,
    pub id: String,
    pub meta: Meta,
    pub identifier: Identifier,
    #[serde(rename = "type")]
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    pub entry: Vec<Entry>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    pub full_url: String,
    pub resource: Resource,
    /// Of a transaction alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<Request>,
}

/// What a server is to do with an entry.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    pub method: &'static str,
    pub url: &'static str,
    pub if_none_exist: String,
}

#[derive(Serialize)]
#[serde(tag = "resourceType")]
pub enum Resource {
    DiagnosticReport(Box<DiagnosticReport>),
    Observation(Box<Observation>),
    ImagingStudy(Box<ImagingStudy>),
    Device(Box<Device>),
    Patient(Box<Patient>),
}

#[derive(Serialize)]
pub struct Meta {
    pub security: Vec<Coding>,
    pub tag: Vec<Coding>,
}

#[derive(Serialize)]
pub struct Coding {
    pub system: &'static str,
    pub code: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display: Option<&'static str>,
}

/// A CodeableConcept.
#[derive(Serialize)]
pub struct Concept {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub coding: Vec<Coding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

#[derive(Serialize)]
pub struct Identifier {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<Concept>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<&'static str>,
    pub value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assigner: Option<Reference>,
}

/// To a resource of the same bundle; by its number, or in words, to what is not in it.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reference {
    #[serde(rename = "reference")]
    Within(String),
    Identifier(Box<Identifier>),
    Display(String),
}

#[derive(Serialize)]
pub struct Quantity {
    pub value: f64,
    pub unit: &'static str,
    pub system: &'static str,
    pub code: &'static str,
}

/// What was observed, or why nothing was.
#[derive(Serialize)]
pub enum Value {
    #[serde(rename = "valueQuantity")]
    Quantity(Quantity),
    #[serde(rename = "valueCodeableConcept")]
    Concept(Concept),
    #[serde(rename = "dataAbsentReason")]
    Absent(Concept),
}

#[derive(Serialize)]
pub struct Annotation {
    pub text: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attachment {
    pub content_type: &'static str,
    pub language: &'static str,
    /// In Base64.
    pub data: String,
    pub title: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DiagnosticReport {
    pub id: String,
    pub meta: Meta,
    pub identifier: Vec<Identifier>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub based_on: Vec<Reference>,
    pub status: &'static str,
    pub category: Vec<Concept>,
    pub code: Concept,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<Reference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_date_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued: Option<String>,
    pub result: Vec<Reference>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub imaging_study: Vec<Reference>,
    pub conclusion: String,
    pub conclusion_code: Vec<Concept>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub presented_form: Vec<Attachment>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Observation {
    pub id: String,
    pub meta: Meta,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub identifier: Vec<Identifier>,
    pub status: &'static str,
    pub category: Vec<Concept>,
    pub code: Concept,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<Reference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_date_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued: Option<String>,
    #[serde(flatten)]
    pub value: Value,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub note: Vec<Annotation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_site: Option<Concept>,
    pub device: Reference,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub has_member: Vec<Reference>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub derived_from: Vec<Reference>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub component: Vec<Component>,
}

#[derive(Serialize)]
pub struct Component {
    pub code: Concept,
    #[serde(flatten)]
    pub value: Value,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImagingStudy {
    pub id: String,
    pub meta: Meta,
    pub identifier: Vec<Identifier>,
    pub status: &'static str,
    pub subject: Reference,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<String>,
    pub series: Vec<Series>,
}

#[derive(Serialize)]
pub struct Series {
    pub uid: String,
    pub modality: Coding,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub instance: Vec<Instance>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Instance {
    pub uid: String,
    pub sop_class: Coding,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    pub id: String,
    pub meta: Meta,
    pub identifier: Vec<Identifier>,
    pub manufacturer: &'static str,
    pub serial_number: String,
    pub device_name: Vec<DeviceName>,
    pub model_number: String,
    pub version: Vec<Version>,
}

#[derive(Serialize)]
pub struct DeviceName {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
}

#[derive(Serialize)]
pub struct Version {
    #[serde(rename = "type")]
    pub kind: Concept,
    pub value: String,
}

#[derive(Serialize)]
pub struct Patient {
    pub id: String,
    pub meta: Meta,
    pub identifier: Vec<Identifier>,
}
