use std::path::Path;

use domain::Artefact;
use domain::artefact::{ALL, Published};
use domain::limits::*;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{Gateway, json, problem};

async fn served() -> Value {
    let gateway = Gateway::start().await;
    let (status, document) =
        json(gateway.client.get(format!("{}/openapi.json", gateway.url)).send().await.unwrap())
            .await;
    assert_eq!(status, 200);
    document
}

/// Compares a file of the repository with what it should say.
///
/// `UPDATE_OPENAPI=1 cargo test -p gateway` writes it anew; a change of the face shows in review.
fn keeps(file: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&path, expected).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == kept, "{file} has changed: run UPDATE_OPENAPI=1 cargo test -p gateway");
}

fn pretty(document: &Value) -> String {
    serde_json::to_string_pretty(document).unwrap() + "\n"
}

#[tokio::test]
async fn the_description_of_the_face_is_the_one_in_the_repository() {
    let document = served().await;
    keeps("openapi.json", &pretty(&document));
    keeps("../../docs/result.schema.json", &pretty(&result_schema(&document)));
    keeps("ui/src/api/artefacts.ts", &artefacts_of_the_page());
}

/// The schema of a result alone, with all that it refers to.
fn result_schema(document: &Value) -> Value {
    let schemas = &document["components"]["schemas"];
    let mut parts = serde_json::Map::new();
    let mut wanted = vec!["ResultDocument".to_owned()];
    while let Some(name) = wanted.pop() {
        if !parts.contains_key(&name) {
            wanted.extend(named_by(&schemas[&name]));
            parts.insert(name.clone(), schemas[&name].clone());
        }
    }
    let parts = Value::Object(parts).to_string().replace(SCHEMAS, "#/$defs/");
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": imaging::DocumentHeader::default().schema,
        "$ref": "#/$defs/ResultDocument",
        "$defs": serde_json::from_str::<Value>(&parts).unwrap(),
    })
}

const SCHEMAS: &str = "#/components/schemas/";

/// The names of the schemas that a schema refers to.
fn named_by(schema: &Value) -> Vec<String> {
    let text = schema.to_string();
    let references = text.split(SCHEMAS).skip(1);
    references.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())).collect()
}

/// What the page knows of artefacts: those that it may ask for.
fn artefacts_of_the_page() -> String {
    let row = |artefact: &Artefact| {
        let Artefact { name, media_type, title, .. } = artefact;
        let Published { path, offered, .. } = artefact.published?;
        Some(format!(
            "  {{ name: '{name}', path: '{path}', media_type: '{media_type}', title: '{title}', offered: {offered} }},\n"
        ))
    };
    let rows: String = ALL.iter().filter_map(row).collect();
    format!(
        "// Made of crates/domain/src/artefact.rs: UPDATE_OPENAPI=1 cargo test -p gateway writes it anew.\n\n\
         export const ARTEFACTS = [\n{rows}] as const\n"
    )
}

#[tokio::test]
async fn the_archives_description_names_each_of_its_folders() {
    let document = served().await;
    let archive = &document["paths"]["/v1/batches/{id}/result.zip"]["get"];
    let said = archive["responses"]["200"]["description"].as_str().unwrap();
    for packed in ALL.iter().filter_map(|artefact| artefact.packed) {
        assert!(said.contains(&format!("`{}/`", packed.folder)), "{said}");
    }
}

#[tokio::test]
async fn every_answer_is_described_and_every_failure_is_a_problem() {
    let document = served().await;
    assert_eq!(document["openapi"], "3.1.0");
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(
                operation["summary"].is_string() && operation["operationId"].is_string(),
                "{method} {path}"
            );
            for (status, response) in operation["responses"].as_object().unwrap() {
                let described =
                    response["description"].as_str().is_some_and(|words| !words.is_empty());
                assert!(described, "{method} {path} {status}");
                let problem = &response["content"]["application/problem+json"]["schema"]["$ref"];
                // Of instances that are all refused, each is answered for by itself, as PS3.18 (10.5.3) has it.
                let stored = (method.as_str(), path.starts_with("/dicomweb/studies"));
                let failure = status.starts_with(['4', '5'])
                    && !(stored == ("post", true) && status == "409");
                assert_eq!(
                    failure,
                    problem == &json!("#/components/schemas/Problem"),
                    "{method} {path} {status}"
                );
            }
        }
    }
}

#[tokio::test]
async fn every_reference_leads_somewhere_and_every_operation_has_its_own_id() {
    let document = served().await;
    let text = document.to_string();
    for reference in
        text.split(r##""$ref":"#"##).skip(1).map(|rest| rest.split('"').next().unwrap())
    {
        assert!(document.pointer(reference).is_some(), "{reference}");
    }
    let paths = document["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|item| item.as_object().unwrap().values());
    let mut ids: Vec<_> =
        paths.map(|operation| operation["operationId"].as_str().unwrap()).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "{ids:?}");
}

/// Of each operation: its method, its address with ids filled in, and what the document says of it.
fn operations(document: &Value) -> impl Iterator<Item = (Method, String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    paths.iter().flat_map(|(path, item)| {
        item.as_object().unwrap().iter().map(move |(method, operation)| {
            let method = method.to_uppercase().parse().unwrap();
            (method, path.replace("{id}", "done"), operation)
        })
    })
}

#[tokio::test]
async fn what_no_operation_knows_is_refused_by_name_by_each_of_them() {
    let gateway = Gateway::start().await;
    let document = served().await;
    let mut asked = 0;
    for (method, path, operation) in operations(&document) {
        let url = format!("{}{path}?surely_unknown=1", gateway.url);
        let request = gateway.client.request(method.clone(), url).bearer_auth(&gateway.token);
        let (status, name, body) = problem(request.send().await.unwrap()).await;
        assert_eq!((status, name.as_str()), (400, "invalid"), "{method} {path}: {body}");
        assert!(body["detail"].as_str().unwrap().contains("`surely_unknown`"), "{body}");
        asked += 1;

        if operation["requestBody"]["content"].get("application/json").is_none() {
            continue;
        }
        let request = gateway.client.request(method.clone(), format!("{}{path}", gateway.url));
        let request = request.bearer_auth(&gateway.token);
        let said = request.try_clone().unwrap().json(&json!({ "surely_unknown": 1 }));
        let (status, name, body) = problem(said.send().await.unwrap()).await;
        assert_eq!((status, name.as_str()), (400, "invalid"), "{method} {path}: {body}");
        assert!(body["detail"].as_str().unwrap().contains("`surely_unknown`"), "{body}");

        // Values without their names say nothing.
        let (_, _, body) = problem(request.json(&json!([])).send().await.unwrap()).await;
        assert!(body["detail"].as_str().unwrap().contains("expected an object"), "{body}");
    }
    assert!(asked > 15, "only {asked} operations");
}

/// The schema that a reference leads to, or the schema itself.
fn resolved<'d>(document: &'d Value, schema: &'d Value) -> &'d Value {
    let Some(reference) = schema["$ref"].as_str() else { return schema };
    document.pointer(reference.trim_start_matches('#')).unwrap()
}

#[tokio::test]
async fn every_json_body_that_is_taken_says_that_it_has_no_other_fields() {
    let document = served().await;
    for (method, path, operation) in operations(&document) {
        let content = &operation["requestBody"]["content"]["application/json"];
        if content.is_null() {
            continue;
        }
        let schema = &content["schema"];
        let named = |schema: &&Value| schema["$ref"].is_string();
        let either = schema["oneOf"].as_array().and_then(|either| either.iter().find(named));
        let object = resolved(&document, either.unwrap_or(schema));
        assert_eq!(object["additionalProperties"], json!(false), "{method} {path}: {schema}");
    }
}

/// What the description says of the parameter of that name, wherever it is one.
fn parameters<'d>(document: &'d Value, name: &str) -> Vec<&'d Value> {
    let all = operations(document).flat_map(|(_, _, operation)| {
        operation["parameters"].as_array().map_or(&[][..], Vec::as_slice)
    });
    let named: Vec<_> = all.filter(|parameter| parameter["name"] == name).collect();
    assert!(!named.is_empty(), "no operation has a parameter `{name}`");
    named.into_iter().map(|parameter| &parameter["schema"]).collect()
}

/// The description can hold literals only, so what is kept may not change without it.
#[tokio::test]
async fn the_limits_that_are_described_are_those_that_are_kept() {
    let document = served().await;
    for limit in parameters(&document, "limit") {
        assert_eq!(
            (&limit["maximum"], &limit["default"]),
            (&json!(PAGE_MAX), &json!(PAGE_DEFAULT))
        );
    }
    for key in parameters(&document, "Idempotency-Key") {
        assert_eq!(key["maxLength"], json!(IDEMPOTENCY_KEY_CHARS_MAX));
    }
    for name in ["patient_id", "accession_number", "study_uid", "reference"] {
        for identifier in parameters(&document, name) {
            assert_eq!(identifier["maxLength"], json!(IDENTIFIER_CHARS_MAX), "{name}");
        }
    }
    let schemas = &document["components"]["schemas"];
    let user = &schemas["NewUser"]["properties"];
    assert_eq!(
        (&user["password"]["minLength"], &user["password"]["maxLength"]),
        (&json!(PASSWORD_CHARS_MIN), &json!(PASSWORD_CHARS_MAX))
    );
    let pattern = user["user_name"]["pattern"].as_str().unwrap();
    assert!(pattern.contains(&format!("{{1,{ACCOUNT_NAME_CHARS_MAX}}}")), "{pattern}");
    let word = &schemas["FeedbackWord"]["properties"];
    assert_eq!(word["note"]["maxLength"], json!(NOTE_CHARS_MAX));
    let finding = &schemas["JudgedFinding"]["properties"];
    assert_eq!(finding["note"]["maxLength"], json!(NOTE_CHARS_MAX));
    assert_eq!(
        (&word["findings"]["maxItems"], &word["missed"]["maxItems"]),
        (&json!(JUDGED_FINDINGS_MAX), &json!(MISSED_PLACES_MAX))
    );
    assert_eq!(word["adjudicates"]["maxItems"], json!(ADJUDICATED_MAX));
    let incident = &schemas["NewIncident"]["properties"]["words"];
    assert_eq!(incident["maxLength"], json!(INCIDENT_CHARS_MAX));
    let client = &schemas["NewClient"]["properties"]["name"];
    assert_eq!(client["maxLength"], json!(ACCOUNT_NAME_CHARS_MAX));
}
