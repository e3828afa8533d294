use gateway::Config;
use serde_json::{Value, json};
use service::PublicSettings;
use service::claims::Role;

use crate::mesh::{PASSWORD, USER};
use crate::{Gateway, Way, json, problem};

/// A scan whose identity a clinician has read, and an admin who asks what happened.
async fn read_once() -> (Gateway, String) {
    let gateway = Gateway::start().await;
    let scan = gateway.mesh.done().await;
    let path = format!("/v1/scans/{scan}/identity");
    let read = gateway.get(&path).header("medseg-reason", "appel%C3%A9 <\"nuit\">");
    assert_eq!(read.send().await.unwrap().status(), 200);
    (gateway.signed_in_as(Role::Admin), scan)
}

async fn entries(gateway: &Gateway, query: &str) -> Vec<Value> {
    let (status, page) =
        json(gateway.get(&format!("/v1/audit{query}")).send().await.unwrap()).await;
    assert_eq!(status, 200, "{page}");
    page["entries"].as_array().unwrap().clone()
}

async fn text(gateway: &Gateway, path: &str, accept: &str) -> (String, String) {
    let answer = gateway.get(path).header("accept", accept).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    (kind, answer.text().await.unwrap())
}

#[tokio::test]
async fn an_admin_reads_who_did_what_from_where_and_why() {
    let (gateway, scan) = read_once().await;
    let found = entries(&gateway, &format!("?object={scan}&action=scan.identity.read")).await;
    assert_eq!(found.len(), 1, "{found:?}");
    let entry = &found[0];
    assert_eq!((&entry["name"], &entry["trail"]), (&"tester".into(), &"scans".into()));
    assert_eq!(
        (&entry["origin"], &entry["reason"]),
        (&"127.0.0.1".into(), &"appelé <\"nuit\">".into())
    );
    let all = entries(&gateway, "").await;
    // That it was read is an entry by now, and so are those of accounts.
    assert!(all.iter().any(|entry| entry["action"] == "audit.read"), "{all:?}");
    assert!(all.iter().any(|entry| entry["trail"] == "accounts"), "{all:?}");
    let refused = gateway.get("/v1/audit?cursor=never").send().await.unwrap();
    assert_eq!(problem(refused).await.0, 400);
}

#[tokio::test]
async fn a_trusted_proxy_is_believed_of_whom_it_asks_for_and_nobody_else_is() {
    for (proxies, origin) in [("127.0.0.1/32", "2001:db8::7"), ("192.0.2.0/24", "127.0.0.1")] {
        let trusted_proxies = vec![proxies.parse().unwrap()];
        let public = PublicSettings { trusted_proxies, ..PublicSettings::default() };
        let gateway = Gateway::with(Config { public, ..Config::default() }, Way::Within).await;
        let scan = gateway.mesh.done().await;
        let read = gateway.get(&format!("/v1/scans/{scan}/identity"));
        let read = read.header("x-forwarded-for", "203.0.113.66, 2001:db8::7");
        assert_eq!(read.send().await.unwrap().status(), 200);
        // Of a sign-in, too, which has no token yet.
        let fields = json!({"grant_type": "password", "username": USER, "password": "a guess"});
        let guess = gateway.client.post(format!("{}/v1/token", gateway.url)).json(&fields);
        let guess = guess.header("x-forwarded-for", "203.0.113.66, 2001:db8::7");
        assert_eq!(guess.send().await.unwrap().status(), 401);
        let gateway = gateway.signed_in_as(Role::Admin);
        let read = entries(&gateway, &format!("?object={scan}&action=scan.identity.read")).await;
        assert_eq!((read.len(), &read[0]["origin"]), (1, &origin.into()), "{read:?}");
        let failed = entries(&gateway, "?action=sign_in.failed").await;
        assert_eq!((failed.len(), &failed[0]["origin"]), (1, &origin.into()), "{failed:?}");
    }
}

#[tokio::test]
async fn page_by_page_it_is_the_same_trail() {
    let (gateway, _) = read_once().await;
    let whole: Vec<Value> = entries(&gateway, "?action=scan.accepted&limit=200").await;
    let all = entries(&gateway, "?limit=200&to=2999-01-01T00:00:00Z").await;
    let (mut seen, mut cursor) = (Vec::new(), String::from("0.0"));
    while !cursor.is_empty() {
        let path = format!("/v1/audit?limit=1&to=2999-01-01T00:00:00Z&cursor={cursor}");
        let (_, page) = json(gateway.get(&path).send().await.unwrap()).await;
        seen.extend(page["entries"].as_array().unwrap().clone());
        cursor = page["next_cursor"].as_str().unwrap_or_default().to_owned();
    }
    assert!(whole.iter().all(|entry| seen.contains(entry)) && seen.len() >= all.len());
    assert!(all.iter().all(|entry| seen.contains(entry)));
}

#[tokio::test]
async fn it_is_handed_out_in_the_forms_that_archives_take() {
    let (gateway, scan) = read_once().await;
    let of = format!("object={scan}&action=scan.identity.read");
    let (kind, csv) = text(&gateway, &format!("/v1/audit.csv?{of}"), "*/*").await;
    assert!(kind.starts_with("text/csv") && csv.starts_with("at,trail,position,"), "{csv}");
    assert!(csv.contains("\"appelé <\"\"nuit\"\">\"") && csv.lines().count() == 2, "{csv}");

    let (_, lines) = text(&gateway, &format!("/v1/audit.ndjson?{of}"), "*/*").await;
    let line: Value = serde_json::from_str(lines.trim_end()).unwrap();
    assert_eq!(line["object"], scan.as_str());

    for (path, accept) in [("/v1/audit.xml", "*/*"), ("/v1/audit", "application/xml")] {
        let (kind, xml) = text(&gateway, &format!("{path}?{of}"), accept).await;
        assert!(kind.starts_with("application/xml"), "{kind}");
        assert_eq!(xml.matches("<AuditMessage>").count(), 1, "{xml}");
        assert!(xml.contains(&format!("ParticipantObjectID=\"{scan}\"")), "{xml}");
        assert!(xml.contains("appelé &lt;&quot;nuit&quot;&gt;"), "{xml}");
        assert!(xml.trim_end().ends_with("</AuditMessages>"), "{xml}");
    }
    let (kind, bundle) = text(&gateway, &format!("/v1/audit?{of}"), "application/fhir+json").await;
    assert!(kind.starts_with("application/fhir+json"), "{kind}");
    let bundle: Value = serde_json::from_str(&bundle).unwrap();
    let event = &bundle["entry"][0]["resource"];
    assert_eq!((&event["resourceType"], &event["action"]), (&"AuditEvent".into(), &"R".into()));
}

#[tokio::test]
async fn who_is_refused_for_want_of_a_right_is_in_the_trail_and_does_not_read_it() {
    let (gateway, scan) = read_once().await;
    for role in [Role::Clinician, Role::Integrator, Role::Scientist] {
        let token = gateway.mesh.token(role);
        for path in ["/v1/audit", "/v1/audit.csv", "/v1/audit.ndjson", "/v1/audit.xml"] {
            let asked = gateway.client.get(format!("{}{path}", gateway.url)).bearer_auth(&token);
            assert_eq!(problem(asked.send().await.unwrap()).await.0, 403, "{role:?} {path}");
        }
    }
    let elsewhere = gateway.mesh.admin_elsewhere();
    let asked = gateway.client.get(format!("{}/v1/audit", gateway.url)).bearer_auth(&elsewhere);
    let (status, page) = json(asked.send().await.unwrap()).await;
    assert_eq!(status, 200, "{page}");
    assert!(!page.to_string().contains(&scan), "another hospital's entry: {page}");

    // An admin may not know whose a scan is.
    let path = format!("/v1/scans/{scan}/identity");
    assert_eq!(gateway.get(&path).send().await.unwrap().status(), 403);
    let refusals = entries(&gateway, "?action=access.refused&limit=200").await;
    let of_scan = refusals.iter().find(|entry| entry["object"] == scan.as_str()).unwrap();
    assert_eq!(of_scan["detail"], "GET /v1/scans/{id}/identity");
    assert!(refusals.iter().any(|entry| entry["detail"] == "GET /v1/audit.csv"), "{refusals:?}");
}

#[tokio::test]
async fn whoever_has_no_token_yet_or_no_more_comes_from_somewhere_too() {
    let gateway = Gateway::start().await.signed_in_as(Role::Admin);
    let pacs = json!({"name": "pacs", "roles": ["integrator"]});
    let (_, pacs) = json(gateway.post("/v1/clients").json(&pacs).send().await.unwrap()).await;
    let id = pacs["client_id"].as_str().unwrap();
    let url = format!("{}/v1/token", gateway.url);
    for secret in [pacs["client_secret"].as_str(), Some("wrong")] {
        let request = gateway.client.post(&url).basic_auth(id, secret);
        request.json(&json!({"grant_type": "client_credentials"})).send().await.unwrap();
    }
    let fields = json!({"grant_type": "password", "username": USER, "password": PASSWORD});
    let (_, tokens) = json(gateway.client.post(&url).json(&fields).send().await.unwrap()).await;
    let token = json!({"token": tokens["refresh_token"]});
    let revoked = gateway.client.post(format!("{url}/revoke")).json(&token).send().await.unwrap();
    assert_eq!(revoked.status(), 200);
    let of_client = entries(&gateway, &format!("?subject={id}")).await;
    let ended = entries(&gateway, "?action=session.ended").await;
    assert_eq!((of_client.len(), ended.len()), (2, 1), "{of_client:?} {ended:?}");
    for entry in of_client.iter().chain(&ended) {
        assert_eq!(entry["origin"], "127.0.0.1", "{entry}");
    }
}
