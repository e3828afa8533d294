//! What the OpenAPI document says of artefacts, from their rows.

use domain::Artefact;
use domain::artefact::{DOCUMENT, FHIR_REPORT, Made, PASSPORT, Published, RESULT};
use imaging::{Passport, ResultDocument};
use utoipa::ToSchema;
use utoipa::openapi::path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::{
    Content, HttpMethod, ObjectBuilder, Paths, Ref, RefOr, Required, ResponseBuilder, Schema,
    SchemaFormat, SecurityRequirement, Type,
};

use crate::docs;
use crate::scans::Binary;

/// The schema of an artefact's bytes, and those that it refers to, by name.
pub fn schemas(artefact: &Artefact) -> Vec<(String, RefOr<Schema>)> {
    match *artefact {
        RESULT => named::<ResultDocument>(),
        PASSPORT => named::<Passport>(),
        _ => named::<Binary>(),
    }
}

fn named<T: ToSchema>() -> Vec<(String, RefOr<Schema>)> {
    let mut schemas = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut schemas);
    schemas
}

/// The address of an artefact, and what it answers there.
pub fn paths(artefact: &Artefact, published: Published) -> Paths {
    let operation = OperationBuilder::new()
        .operation_id(Some(published.operation_id))
        .tag("results")
        .summary(Some(published.summary))
        .description(published.description)
        .parameter(id())
        .response("200", body(artefact, published))
        .response("404", docs::problem(absent(artefact)))
        .security(SecurityRequirement::new("bearer", [] as [&str; 0]));
    let operation = match artefact.made {
        Made::Upload => kept(operation),
        Made::Result => kept(operation).response("409", docs::problem(NOT_READY)),
        Made::Request => operation.response("409", docs::problem(NOT_READY)),
    };
    let is_printed = [DOCUMENT, FHIR_REPORT].contains(artefact);
    let operation = if is_printed { operation.parameter(lang()) } else { operation };
    let operation = if *artefact == FHIR_REPORT { operation.parameter(pdf()) } else { operation };
    let mut paths = Paths::new();
    let path = format!("/v1/scans/{{id}}/{}", published.path);
    paths.add_path_operation(path, vec![HttpMethod::Get], operation);
    paths
}

/// What is kept has parts, and a tag.
fn kept(operation: OperationBuilder) -> OperationBuilder {
    operation
        .response("206", words("The bytes that `Range` asks for"))
        .response("304", words("Unchanged: the `If-None-Match` still matches"))
}

const NOT_READY: &str = "Not ready: ask again after `Retry-After` seconds";

/// Why it may not be there.
fn absent(artefact: &Artefact) -> &'static str {
    if artefact.made == Made::Request {
        return "No such scan, or nothing of this kind can be made of it: `detail` says why";
    }
    // Each scan has what it was uploaded with, and once it is done a result.
    let always = artefact.made == Made::Upload || *artefact == RESULT;
    if always { "No such scan" } else { "No such scan, or its result has none" }
}

fn body(artefact: &Artefact, published: Published) -> ResponseBuilder {
    let content = match artefact.media_type {
        // The form is the standard's, and not said again.
        foreign if foreign.ends_with("+json") => {
            Content::new(Some(ObjectBuilder::new().schema_type(Type::Object)))
        }
        _ if *artefact == RESULT => {
            Content::new(Some(Ref::from_schema_name(ResultDocument::name())))
        }
        _ if *artefact == PASSPORT => Content::new(Some(Ref::from_schema_name(Passport::name()))),
        _ => Content::new(Some(Ref::from_schema_name(Binary::name()))),
    };
    words(published.body).content(artefact.media_type, content)
}

fn words(words: &str) -> ResponseBuilder {
    ResponseBuilder::new().description(words)
}

/// In which language a report is.
fn lang() -> Parameter {
    let languages = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["en", "fr"]));
    ParameterBuilder::new()
        .name("lang")
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some("In which language, by ISO 639-1; `en` unless said"))
        .schema(Some(languages))
        .build()
}

/// Whether the printed report is within.
fn pdf() -> Parameter {
    ParameterBuilder::new()
        .name("pdf")
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(
            "Whether the printed report is in it (`presentedForm`), with what the caller may know of readers' words; `false` unless said",
        ))
        .schema(Some(ObjectBuilder::new().schema_type(Type::Boolean)))
        .build()
}

/// The scan's id in the address.
fn id() -> Parameter {
    let uuid = SchemaFormat::Custom("uuid".to_owned());
    ParameterBuilder::new()
        .name("id")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some("The scan's id"))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String).format(Some(uuid))))
        .build()
}
