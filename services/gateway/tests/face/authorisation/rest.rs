//! The routes of the REST face, as its description has them.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::Instant;

use gateway::Config;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use service::PublicSettings;
use service::claims::Role;

use super::{Expected, Ids, May, ROLES, Tally, fields, has_own, rows, value};
use crate::{Gateway, Way, json};

/// Method and path; who may; what stands in the path for whose id; the body, in which `$scan` is a scan's; `ok` where it succeeds with
/// the ids of the own hospital.
const TABLE: &str = r#"
    GET /.well-known/jwks.json          | *
    GET /.well-known/result-keys.json   | *
    GET /fhir/metadata                  | *
    POST /v1/token                      | *
    POST /v1/token/revoke               | *
    POST /v1/password-links/use         | *
    GET /v1/sign-in/{name}              | *
    POST /v1/sign-in/{name}             | *
    POST /v1/sign-in/{name}/logout      | *

    GET /v1/account                     | @
    POST /v1/account/password           | @ | | {"password": "a guess", "new_password": "another long and right one"}
    POST /v1/account/second-factor      | @ | | {"password": "a guess"}
    POST /v1/account/second-factor/codes  | @ | | {"one_time_code": "000000"}
    POST /v1/account/second-factor/remove | @ | | {"password": "a guess", "one_time_code": "000000"}
    GET /v1/account/security-keys       | @
    POST /v1/account/security-keys      | @ | | {"name": "the blue one", "made": "{}"}
    POST /v1/account/security-keys/options   | @ | | {"password": "a guess"}
    POST /v1/account/security-keys/challenge | @
    POST /v1/account/security-keys/{key}/remove | @ | key=key | {"password": "a guess"}
    GET /v1/account/sessions            | @
    DELETE /v1/account/sessions/{session} | @ | session=session
    GET /v1/users                       | A | | | ok
    POST /v1/users                      | A | | {"user_name": "eve", "password": "a long and right one", "roles": ["clinician"]}
    POST /v1/invitations                | A | | {"user_name": "bob", "roles": ["clinician"]}
    PATCH /v1/users/{id}                | A | id=user | {"disabled": true}
    DELETE /v1/users/{id}               | A | id=user
    POST /v1/users/{id}/password-link   | A | id=user
    DELETE /v1/users/{id}/second-factor | A | id=user
    GET /v1/users/{id}/security-keys    | A | id=user | | ok
    DELETE /v1/users/{id}/security-keys/{key} | A | id=user key=key
    GET /v1/users/{id}/sessions         | A | id=user | | ok
    DELETE /v1/users/{id}/sessions/{session} | A | id=user session=session
    GET /v1/clients                     | A | | | ok
    POST /v1/clients                    | A | | {"name": "archive", "roles": ["integrator"]}
    PATCH /v1/clients/{id}              | A | id=client | {"disabled": true}
    DELETE /v1/clients/{id}             | A | id=client
    POST /v1/clients/{id}/rotation      | A | id=client
    DELETE /v1/clients/{id}/rotation    | A | id=client
    PUT /v1/clients/{id}/limits         | A | id=client | {"scans_per_day": 1000}
    GET /v1/limits                      | A
    GET /v1/provider                    | A
    PUT /v1/provider                    | A | | {"name": "st-marys", "issuer": "https://idp.example", "client_id": "medseg"}
    DELETE /v1/provider                 | A
    GET /v1/sign-in-rules               | A | | | ok
    PUT /v1/sign-in-rules               | A | | {"second_factor_required": false}
    GET /v1/audit                       | A | | | ok
    GET /v1/audit.csv                   | A
    GET /v1/audit.ndjson                | A
    GET /v1/audit.xml                   | A

    GET /v1/tenants                     | O
    POST /v1/tenants                    | O | | {"name": "another", "admin_user_name": "rudolf"}
    GET /v1/tenants/{id}                | O | id=tenant
    PATCH /v1/tenants/{id}              | O | id=tenant | {"users_max": 7}
    GET /v1/tenants/{id}/export         | O | id=tenant
    GET /v1/tenants/{id}/limits         | O | id=tenant
    PUT /v1/tenants/{id}/limits         | O | id=tenant | {}
    PUT /v1/tenants/{id}/state          | O | id=tenant | {"state": "suspended"}

    GET /v1/scans                       | CIA | | | ok
    POST /v1/scans                      | -
    GET /v1/scans/{id}                  | CIA | id=scan | | ok
    PATCH /v1/scans/{id}                | CIA | id=scan | {"priority": "stat"}
    DELETE /v1/scans/{id}               | CIA | id=scan
    POST /v1/scans/{id}/retry           | CIA | id=scan
    GET /v1/events                      | CIA
    GET /v1/scans/{id}/events           | CIA | id=scan
    GET /v1/scans/{id}/identity         | CI | id=scan | | ok
    GET /v1/scans/{id}/priors           | CI | id=scan | | ok
    GET /v1/scans/{id}/result           | CIA | id=scan | | ok
    GET /v1/scans/{id}/image.png        | CIA | id=scan | | ok
    GET /v1/scans/{id}/original         | CIA | id=scan | | ok
    GET /v1/scans/{id}/mask.png         | CIA | id=scan | | ok
    GET /v1/scans/{id}/overlay.png      | CIA | id=scan | | ok
    GET /v1/scans/{id}/mask.nii.gz      | CIA | id=scan | | ok
    GET /v1/scans/{id}/passport         | CIA | id=scan
    GET /v1/scans/{id}/slices/{n}       | CIA | id=scan n='1.png'
    GET /v1/scans/{id}/thumbnail.png    | CIA | id=scan
    GET /v1/scans/{id}/volume.nii       | CIA | id=scan
    GET /v1/scans/{id}/report.pdf       | CIA | id=scan
    GET /v1/scans/{id}/report.dcm       | CIA | id=scan
    GET /v1/scans/{id}/report.hl7       | CIA | id=scan
    GET /v1/scans/{id}/report.fhir.json | CIA | id=scan
    GET /v1/scans/{id}/contours.geojson | CIA | id=scan
    GET /v1/scans/{id}/seg.dcm          | CIA | id=scan
    GET /v1/scans/{id}/sr.dcm           | CIA | id=scan
    GET /v1/scans/{id}/text.dcm         | CIA | id=scan
    GET /v1/scans/{id}/capture.dcm      | CIA | id=scan
    POST /v1/batches                    | -
    GET /v1/batches/{id}                | CIA | id=batch | | ok
    GET /v1/batches/{id}/result.zip     | CIA | id=batch
    POST /v1/uploads                    | -
    GET /v1/uploads/{id}                | - | id=upload
    PATCH /v1/uploads/{id}              | - | id=upload
    DELETE /v1/uploads/{id}             | - | id=upload
    GET /v1/series-rules                | CIA | | | ok
    POST /v1/series-rules               | A | | {"contains": "FLAIR", "preference": "never"}
    DELETE /v1/series-rules/{id}        | A | id=rule
    POST /v1/studies/{study}/complete   | - | study='1.2.3'

    GET /v1/feedback                    | CA | | | ok
    GET /v1/scans/{id}/feedback         | CA | id=scan | | ok
    POST /v1/scans/{id}/feedback        | CA | id=scan | {"verdict": "agree"}
    GET /v1/scans/{id}/feedback/{feedback_id}/mask | CA | id=scan feedback_id=feedback
    GET /v1/consent                     | CISA | | | ok
    PUT /v1/consent                     | A | | {"learning": true}
    GET /v1/dataset                     | SA | | | ok
    GET /v1/scans/{id}/dataset-image    | SA | id=scan
    GET /v1/scans/{id}/dataset-mask     | SA | id=scan
    GET /v1/scans/{id}/dataset-dicom    | - | id=scan
    GET /v1/incidents                   | A | | | ok
    POST /v1/incidents                  | CISA | | {"words": "it was on the other side", "scan_id": "$scan"}
    GET /v1/incident-links              | CIA | | | ok
    POST /v1/incident-links             | CIA | | {"scan_id": "$scan"}
    DELETE /v1/incident-links/{id}      | CIA | id=link
    GET /v1/stops                       | CSA | | | ok
    PUT /v1/stops                       | A | | {"error_max": 0.2}
    POST /v1/stops/lift                 | A | | {"name": "medseg-mr", "version": "9.9", "reason": "measured anew"}
    POST /v1/erasures                   | A | | {"scan_id": "$scan", "reason": "asked for"}
    GET /v1/erasures/{id}               | A | id=erasure
    POST /v1/erasures/{id}/lift         | A | id=erasure | {"reason": "asked for"}
    GET /v1/holds                       | A | | | ok
    PUT /v1/holds                       | A | | {"scan_id": "$scan", "held": true, "reason": "asked for"}
    GET /v1/retention                   | A | | | ok
    PUT /v1/retention                   | A | | {"kind": "incidents", "days": 3650}

    GET /v1/destinations                | A | | | ok
    POST /v1/destinations               | A | | {"name": "reports", "kind": "webhook", "url": "https://ris.example/hook", "formats": ["cloudevent"]}
    PATCH /v1/destinations/{id}         | A | id=destination | {"enabled": false}
    DELETE /v1/destinations/{id}        | A | id=destination
    GET /v1/deliveries                  | IA | | | ok
    POST /v1/deliveries/{id}/again      | IA | id=delivery

    POST /v1/drift/reports              | SA | | {}
    GET /v1/drift/reports/{id}          | SA | id=report
    GET /v1/drift/windows               | SA | | | ok
    GET /v1/drift/windows/{id}          | SA | id=window | | ok
    GET /v1/drift/compare               | SA | a=window b=window
    GET /v1/drift/rows.csv              | SA
    GET /v1/drift/rows.parquet          | SA
    GET /v1/quality                     | CSA | | | ok
    GET /v1/evaluations                 | CSA | | | ok
    POST /v1/evaluations                | SA | | {"model": {"name": "medseg-mr", "version": "9.9", "sha256": "ab"}, "data_version": "1", "patients": 1, "slices": 1, "far": {"count": 0, "of": 1}, "frr": {"count": 0, "of": 1}}
    GET /v1/models                      | SAW  | | | ok
    POST /v1/models                     | ?CISAOWD
    GET /v1/models/{name}/{version}     | SAW  | name='medseg-mr' version='9.9'
    GET /v1/models/{name}/{version}/files/{file} | SAW  | name='medseg-mr' version='9.9' file='weights.safetensors'
    GET /v1/models/{name}/{version}/shadow      | SA | name='medseg-mr' version='9.9'
    POST /v1/models/{name}/{version}/shadow     | SA | name='medseg-mr' version='9.9' | {"reason": "to be compared"}
    POST /v1/models/{name}/{version}/promote    | A | name='medseg-mr' version='9.9' | {"reason": "it is better"}
    POST /v1/models/{name}/{version}/roll-back  | A | name='medseg-mr' version='9.9' | {"reason": "it is worse"}
    POST /v1/models/{name}/{version}/retire     | A | name='medseg-mr' version='9.9' | {"reason": "it is old"}
    GET /v1/model-events                | SAW

    GET /dicomweb/studies               | CI
    GET /dicomweb/series                | CI
    GET /dicomweb/instances             | CI
    POST /dicomweb/studies              | -
    POST /dicomweb/studies/{study}      | - | study='1.2.3'
    GET /dicomweb/studies/{study}       | CI | study='1.2.3'
    GET /dicomweb/studies/{study}/series    | CI | study='1.2.3'
    GET /dicomweb/studies/{study}/instances | CI | study='1.2.3'
    GET /dicomweb/studies/{study}/metadata  | CI | study='1.2.3'
    GET /dicomweb/studies/{study}/thumbnail | CI | study='1.2.3'
    GET /dicomweb/studies/{study}/series/{series} | CI | study='1.2.3' series='1.2.4'
    GET /dicomweb/studies/{study}/series/{series}/instances | CI | study='1.2.3' series='1.2.4'
    GET /dicomweb/studies/{study}/series/{series}/metadata  | CI | study='1.2.3' series='1.2.4'
    GET /dicomweb/studies/{study}/series/{series}/thumbnail | CI | study='1.2.3' series='1.2.4'
    GET /dicomweb/studies/{study}/series/{series}/instances/{instance} | CI | study='1.2.3' series='1.2.4' instance='1.2.5'
    GET /dicomweb/studies/{study}/series/{series}/instances/{instance}/metadata  | CI | study='1.2.3' series='1.2.4' instance='1.2.5'
    GET /dicomweb/studies/{study}/series/{series}/instances/{instance}/rendered  | CI | study='1.2.3' series='1.2.4' instance='1.2.5'
    GET /dicomweb/studies/{study}/series/{series}/instances/{instance}/thumbnail | CI | study='1.2.3' series='1.2.4' instance='1.2.5'
    GET /dicomweb/studies/{study}/series/{series}/instances/{instance}/bulkdata/{tag} | CI | study='1.2.3' series='1.2.4' instance='1.2.5' tag='7fe00010'
    GET /dicomweb/studies/{study}/series/{series}/instances/{instance}/frames/{frames} | CI | study='1.2.3' series='1.2.4' instance='1.2.5' frames='1'
    GET /dicomweb/studies/{study}/series/{series}/instances/{instance}/frames/{frames}/rendered | CI | study='1.2.3' series='1.2.4' instance='1.2.5' frames='1'
"#;

struct Row {
    method: Method,
    path: &'static str,
    may: May,
    fields: Vec<(&'static str, &'static str)>,
    body: &'static str,
    succeeds: bool,
}

impl Row {
    fn of(columns: Vec<&'static str>) -> Row {
        let (method, path) = columns[0].split_once(' ').unwrap();
        let column = |at: usize| columns.get(at).copied().unwrap_or_default();
        let mut fields = fields(column(2));
        if column(3).contains("$scan") {
            fields.push(("$scan", "scan"));
        }
        Row {
            method: method.parse().unwrap(),
            path,
            may: May::read(columns[1]),
            fields,
            body: column(3),
            succeeds: column(4) == "ok",
        }
    }

    /// Path and body with those ids; what the path does not have is asked for behind it.
    fn filled(&self, ids: Option<&Ids>) -> (String, Value) {
        let (mut path, mut body, mut query) = (self.path.to_owned(), self.body.to_owned(), '?');
        for (name, of) in &self.fields {
            let (place, value) = (format!("{{{name}}}"), value(of, ids));
            if *name == "$scan" {
                body = body.replace(name, &value);
            } else if path.contains(&place) {
                path = path.replace(&place, &value);
            } else {
                path.push_str(&format!("{query}{name}={value}"));
                query = '&';
            }
        }
        (path, if body.is_empty() { Value::Null } else { body.parse().unwrap() })
    }
}

/// Whoever calls.
#[derive(Clone, Copy, Debug)]
enum Caller {
    Nobody,
    /// Shows what a patient's link leads by, in place of a token.
    Link,
    /// An API client with that role, which is confined to a section that nothing is in.
    Confined(Role),
    Of(Role),
}

struct Face {
    gateway: Gateway,
    own: Ids,
    link: String,
    calls: Cell<u32>,
}

impl Face {
    async fn start() -> Face {
        // Each call comes from an address of its own: nobody is slowed down for the refusals that are asked for here.
        let trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        let public = PublicSettings { trusted_proxies, ..PublicSettings::default() };
        let config = Config { public, ..Config::default() };
        let gateway = Gateway::with(config, Way::Within).await.signed_in_as(Role::Admin);
        let (scan, window) =
            (gateway.mesh.done().await, "01890a5d-ac96-774b-bcce-b302099a8001".to_owned());
        let batch = gateway.mesh.batch(&scan).await.id;
        gateway.mesh.window(&window, 1, false).await;
        let there = gateway.mesh.admin_elsewhere();
        let consent = gateway.client.put(format!("{}/v1/consent", gateway.url));
        let consent = consent.bearer_auth(there).json(&json!({"learning": true}));
        assert_eq!(consent.send().await.unwrap().status(), 200);
        let asked = async |method: Method, path: &str, body: Value| {
            let mut request = gateway.request(method, path);
            if !body.is_null() {
                request = request.json(&body);
            }
            let (status, said) = json(request.send().await.unwrap()).await;
            assert!((200..300).contains(&status), "{path}: {status} {said}");
            said
        };
        let id = |said: &Value| said["id"].as_str().unwrap().to_owned();
        asked(Method::PUT, "/v1/consent", json!({"learning": true})).await;
        let users = asked(Method::GET, "/v1/users", Value::Null).await;
        let pacs = json!({"name": "pacs", "roles": ["integrator"]});
        let pacs = asked(Method::POST, "/v1/clients", pacs).await;
        let client = pacs["client_id"].as_str().unwrap().to_owned();
        asked(Method::POST, &format!("/v1/clients/{client}/rotation"), Value::Null).await;
        let link = asked(Method::POST, "/v1/incident-links", json!({"scan_id": scan})).await;
        let rule = json!({"contains": "T1", "preference": "never"});
        let rule = asked(Method::POST, "/v1/series-rules", rule).await;
        let webhook = json!({
            "name": "ris", "kind": "webhook", "url": "https://ris.example/", "formats": ["cloudevent"],
        });
        let destination = asked(Method::POST, "/v1/destinations", webhook).await;
        let own = Ids::from([
            ("user", id(&users["users"][0])),
            ("client", client),
            ("link", id(&link)),
            ("rule", id(&rule)),
            ("destination", id(&destination)),
            ("scan", scan),
            ("batch", batch),
            ("window", window),
        ]);
        let link = link["path"].as_str().unwrap().trim_start_matches("/tell/").to_owned();
        Face { gateway, own, link, calls: Cell::new(0) }
    }

    fn token(&self, caller: Caller) -> Option<String> {
        match caller {
            Caller::Nobody => None,
            Caller::Link => Some(self.link.clone()),
            Caller::Confined(role) => Some(self.gateway.mesh.confined(role, "nothing")),
            Caller::Of(role) => Some(self.gateway.mesh.token(role)),
        }
    }

    async fn send(&self, row: &Row, token: Option<&str>, ids: Option<&Ids>) -> Response {
        let (path, body) = row.filled(ids);
        let nth = self.calls.get();
        self.calls.set(nth + 1);
        let [_, high, middle, low] = nth.to_be_bytes();
        let request =
            self.gateway.client.request(row.method.clone(), self.gateway.url.clone() + &path);
        let mut request = request
            .header("x-forwarded-for", format!("10.{high}.{middle}.{low}"))
            .header("medseg-reason", "the story of authorisation");
        if path.starts_with("/v1/uploads") {
            request = request.header("tus-resumable", "1.0.0").header("upload-length", "5");
            request = request.header("upload-offset", "0");
            request = request.header("content-type", "application/offset+octet-stream");
        }
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        request.send().await.unwrap()
    }

    async fn admission(&self, row: &Row, tally: &mut Tally) {
        let confined = match &row.may {
            May::These { may, .. } => may.iter().copied().find(|role| *role != Role::Operator),
            _ => Some(Role::Admin),
        };
        let confined = confined.map(Caller::Confined);
        let callers = ROLES.iter().map(|(_, role)| Caller::Of(*role)).chain(confined);
        for caller in callers.chain([Caller::Nobody, Caller::Link]) {
            let token = self.token(caller);
            let expected = expected(&row.may, caller);
            // What the own are let do is not done to them.
            let refused = matches!(expected, Expected::Unauthenticated | Expected::Forbidden);
            let ids = [None, Some(&self.own)];
            let tries = if refused && has_own(&row.fields, &self.own) { 2 } else { 1 };
            for ids in &ids[..tries] {
                let answer = self.send(row, token.as_deref(), *ids).await;
                tally.calls += 1;
                let status = answer.status().as_u16();
                let of = || format!("{} {} for {caller:?} ({status})", row.method, row.path);
                tally.expect(of, met(expected, status), expected);
            }
        }
    }

    async fn foreign(&self, row: &Row, tally: &mut Tally) {
        for role in row.may.of_a_hospital() {
            if row.succeeds {
                let token = self.gateway.mesh.token(role);
                let status = self.send(row, Some(&token), Some(&self.own)).await.status();
                tally.calls += 1;
                let of = || format!("{} {} for {role:?}, own", row.method, row.path);
                tally.expect(of, status.as_u16(), 200);
            }
            if !has_own(&row.fields, &self.own) {
                continue;
            }
            let token = self.gateway.mesh.token_there(role);
            let begun = Instant::now();
            let foreign = said(self.send(row, Some(&token), Some(&self.own)).await).await;
            tally.foreign.push(begun.elapsed());
            let begun = Instant::now();
            let unknown = said(self.send(row, Some(&token), None).await).await;
            tally.unknown.push(begun.elapsed());
            tally.calls += 2;
            let of = || format!("{} {} for {role:?}, another's", row.method, row.path);
            tally.expect(of, foreign.0, 404);
            let of =
                || format!("{} {} for {role:?}, another's beside nobody's", row.method, row.path);
            tally.expect(of, foreign, unknown);
        }
    }
}

/// Status and body, but for what is the request's own.
async fn said(answer: Response) -> (u16, Value) {
    let status = answer.status().as_u16();
    let bytes = answer.bytes().await.unwrap();
    let text = || Value::from(String::from_utf8_lossy(&bytes).into_owned());
    let mut body: Value = serde_json::from_slice(&bytes).unwrap_or_else(|_| text());
    if let Some(instance) = body.get_mut("instance") {
        *instance = Value::Null;
    }
    (status, body)
}

fn expected(may: &May, caller: Caller) -> Expected {
    match (may, caller) {
        (May::Anybody, _) => Expected::Anything,
        (_, Caller::Nobody | Caller::Link) => Expected::Unauthenticated,
        (_, Caller::Confined(_)) => Expected::Forbidden,
        (May::Ingest, Caller::Of(_)) => Expected::Known,
        (May::Oneself, Caller::Of(_)) => Expected::Admitted,
        (May::These { depends, .. }, Caller::Of(role)) if depends.contains(&role) => {
            Expected::Known
        }
        (May::These { may, .. }, Caller::Of(role)) if may.contains(&role) => Expected::Admitted,
        _ => Expected::Forbidden,
    }
}

/// What has come of it, in the words of what was expected.
fn met(expected: Expected, status: u16) -> Expected {
    match (status, expected) {
        (_, Expected::Anything) => Expected::Anything,
        (401, _) => Expected::Unauthenticated,
        (_, Expected::Known) => Expected::Known,
        (403, _) => Expected::Forbidden,
        _ => Expected::Admitted,
    }
}

/// Every operation of the description.
async fn described(gateway: &Gateway) -> BTreeSet<(String, String)> {
    let document = gateway.client.get(format!("{}/openapi.json", gateway.url));
    let (_, document) = json(document.send().await.unwrap()).await;
    let paths = document["paths"].as_object().unwrap().iter();
    let operations = paths.flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().keys();
        methods.map(move |method| (method.to_uppercase(), path.clone()))
    });
    operations.collect()
}

#[tokio::test]
async fn every_route_is_for_those_it_is_for_and_what_is_anothers_is_as_if_it_were_not() {
    let face = Face::start().await;
    let table: Vec<Row> = rows(TABLE).map(Row::of).collect();
    let named = table.iter().map(|row| (row.method.to_string(), row.path.to_owned()));
    assert_eq!(named.collect::<BTreeSet<_>>(), described(&face.gateway).await, "each has a row");
    let mut tally = Tally::default();
    while !tally.is_done() {
        for row in table.iter().filter(|row| row.may != May::Anybody) {
            face.admission(row, &mut tally).await;
            face.foreign(row, &mut tally).await;
        }
    }
    tally.end("REST");
}
