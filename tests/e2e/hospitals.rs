//! Two hospitals on one medseg, from the outside.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tests::client::{Client, answer, id};
use tests::mesh::Mesh;
use tests::process::built;
use tests::scans;
use tokio::time::{Duration, sleep, timeout};

const PASSWORD: &str = "a long and right one";
/// In which a right that was taken away is gone everywhere.
const PROMISED: Duration = Duration::from_secs(60);

pub async fn tell(mesh: &Mesh) -> anyhow::Result<()> {
    let ours = mesh.client().await?;
    let operator = operator(mesh).await?;
    let (tenant, theirs) = a_second_hospital_is_made(&operator).await?;
    neither_sees_what_is_the_others(&ours, &theirs).await?;
    a_hospital_sends_no_more_than_it_may(&operator, &tenant, &theirs).await?;
    the_operator_sees_nothing_of_either(&operator).await?;
    each_audit_trail_is_its_own_hospitals(&ours, &operator).await?;
    let reader = ours.reader("soon-disabled").await?;
    disable(&ours, "soon-disabled").await?;
    suspend(&operator, &tenant).await?;
    refused(&reader).await.context("somebody who was disabled")?;
    refused(&theirs).await.context("a hospital that was suspended")?;
    let (status, page) = ours.json("/v1/scans").await?;
    ensure!(status == 200, "the other hospital goes on: {status} {page}");
    no_sign_in_tells_why(&ours).await
}

/// Makes one in the database while the services run, as a platform engineer does, and signs in.
async fn operator(mesh: &Mesh) -> anyhow::Result<Client> {
    let mut child = Command::new(built("medseg")?)
        .args(["tenant", "add-operator", "ops"])
        .env("DATABASE_URL", mesh.accounts_url())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    child.stdin.take().context("a piped input")?.write_all(PASSWORD.as_bytes())?;
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output()).await??;
    ensure!(ended.status.success(), "{ended:?}");
    Client::sign_in(&mesh.url, "ops", PASSWORD).await
}

async fn a_second_hospital_is_made(operator: &Client) -> anyhow::Result<(String, Client)> {
    let new = json!({ "name": "Charité", "admin_user_name": "rudolf" });
    let (status, made) = operator.post_json("/v1/tenants", &new).await?;
    ensure!(status == 201, "{status} {made}");
    let link = json!({ "token": made["invitation"]["token"], "password": PASSWORD });
    let (status, used) = operator.post_json("/v1/password-links/use", &link).await?;
    ensure!(status == 200, "{status} {used}");
    let admin = Client::sign_in(&operator.url, "rudolf", PASSWORD).await?;
    let clinician = admin.reader("robert").await?;
    Ok((id(&made["tenant"])?.to_owned(), clinician))
}

async fn neither_sees_what_is_the_others(ours: &Client, theirs: &Client) -> anyhow::Result<()> {
    ensure!(theirs.count_scans().await? == 0, "a new hospital has scans");
    let (scan, _) = theirs.analyse(&scans::png(71, true)).await?;
    ensure!(theirs.count_scans().await? == 1, "its own");
    let path = format!("/v1/scans/{}", id(&scan)?);
    let never = "/v1/scans/01890a5d-ac96-774b-bcce-b302099a8057";
    for part in ["", "/result", "/mask.png", "/identity", "/feedback"] {
        let foreign = ours.json(&format!("{path}{part}")).await?;
        let unknown = ours.json(&format!("{never}{part}")).await?;
        // It is there, for those whose it is.
        let own = theirs.get(&format!("{path}{part}")).await?.status();
        ensure!(own == 200, "{part}: {own}");
        ensure!(foreign.0 == 404 && unknown.0 == 404, "{part}: {foreign:?} {unknown:?}");
        ensure!(foreign.1["detail"] == unknown.1["detail"], "{part}: {foreign:?} {unknown:?}");
    }
    Ok(())
}

/// What was sent before a limit was set does not count, nor what is refused or sent again.
async fn a_hospital_sends_no_more_than_it_may(
    operator: &Client,
    tenant: &str,
    theirs: &Client,
) -> anyhow::Result<()> {
    let path = format!("/v1/tenants/{tenant}/limits");
    let (status, set) = ask(operator, Method::PUT, &path, &json!({ "scans_per_day": 1 })).await?;
    ensure!(status == 200 && set["used"]["scans"] == 0, "{status} {set}");
    let (status, first) = theirs.upload_once("within the limit", &scans::png(72, true)).await?;
    ensure!(status == 202, "{status} {first}");
    let kind = "application/octet-stream";
    let refused = theirs.post("/v1/scans", kind, scans::png(73, true)).await?;
    let header = |name: &str| {
        let value = refused.headers().get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let (policy, left) = (header("ratelimit-policy"), header("ratelimit"));
    ensure!(policy == r#""scans";q=1;w=86400"#, "{policy}");
    ensure!(left.starts_with(r#""scans";r=0;t="#), "{left}");
    let pause: u32 = header("retry-after").parse()?;
    ensure!((1..=86_400).contains(&pause), "{pause}");
    let (status, said) = answer(refused).await?;
    ensure!(status == 429 && said["type"] == "/problems/too-many-requests", "{status} {said}");
    let (status, again) = theirs.upload_once("within the limit", &scans::png(72, true)).await?;
    ensure!(status == 202 && again["id"] == first["id"], "{status} {again}");
    let (status, set) = ask(operator, Method::PUT, &path, &json!({})).await?;
    ensure!(status == 200 && set["scans_per_day"].is_null(), "{status} {set}");
    let (status, said) = theirs.upload(&scans::png(73, true)).await?;
    ensure!(status == 202, "{status} {said}");
    Ok(())
}

/// What either has done above is in its own trail, with who did it, and nowhere in the other's.
async fn each_audit_trail_is_its_own_hospitals(
    ours: &Client,
    operator: &Client,
) -> anyhow::Result<()> {
    let theirs = Client::sign_in(&operator.url, "rudolf", PASSWORD).await?;
    let actions = [
        "scan.accepted",
        "scan.completed",
        "scan.identity.read",
        "sign_in.succeeded",
        "user.created",
    ];
    for action in actions {
        for (whose, client) in [("ours", ours), ("theirs", &theirs)] {
            let (status, page) = client.json(&format!("/v1/audit?limit=1&action={action}")).await?;
            ensure!(status == 200 && page["entries"][0]["action"] == action, "{whose}: {page}");
        }
    }
    let (_, page) = theirs.json("/v1/audit?limit=1&action=scan.identity.read").await?;
    let reader = page["entries"][0]["subject"].as_str().context("a subject")?;
    ensure!(page["entries"][0]["name"] == "robert", "{page}");
    let (status, foreign) = ours.json(&format!("/v1/audit?subject={reader}")).await?;
    ensure!(status == 200 && foreign["entries"] == json!([]), "{status} {foreign}");
    let (status, refused) = operator.json("/v1/audit").await?;
    ensure!(status == 403, "{status} {refused}");
    Ok(())
}

async fn the_operator_sees_nothing_of_either(operator: &Client) -> anyhow::Result<()> {
    for path in ["/v1/scans", "/v1/users", "/v1/models", "/v1/incidents"] {
        let (status, said) = operator.json(path).await?;
        ensure!(status == 403, "{path}: {status} {said}");
    }
    Ok(())
}

async fn ask(
    client: &Client,
    method: Method,
    path: &str,
    body: &Value,
) -> anyhow::Result<(u16, Value)> {
    let request = client.http.request(method, format!("{}{path}", client.url));
    answer(request.bearer_auth(&client.token).json(body).send().await?).await
}

async fn disable(admin: &Client, name: &str) -> anyhow::Result<()> {
    let (_, listed) = admin.json("/v1/users").await?;
    let users = listed["users"].as_array().context("users")?;
    let user = users.iter().find(|user| user["user_name"] == name).context("the user")?;
    let path = format!("/v1/users/{}", id(user)?);
    let (status, said) = ask(admin, Method::PATCH, &path, &json!({ "disabled": true })).await?;
    ensure!(status == 200 && said["state"] == "disabled", "{status} {said}");
    Ok(())
}

async fn suspend(operator: &Client, tenant: &str) -> anyhow::Result<()> {
    let (path, wish) = (format!("/v1/tenants/{tenant}/state"), json!({ "state": "suspended" }));
    let (status, said) = ask(operator, Method::PUT, &path, &wish).await?;
    ensure!(status == 200 && said["state"] == "suspended", "{status} {said}");
    Ok(())
}

/// Waits until the token is refused, which lives for longer than is waited.
async fn refused(client: &Client) -> anyhow::Result<()> {
    let poll = async {
        while client.get("/v1/scans").await?.status() != 401 {
            sleep(Duration::from_millis(500)).await;
        }
        anyhow::Ok(())
    };
    timeout(PROMISED, poll).await.context("its token is still taken")?
}

async fn no_sign_in_tells_why(client: &Client) -> anyhow::Result<()> {
    let mut said = Vec::new();
    for name in ["soon-disabled", "rudolf", "nobody"] {
        let form = json!({ "grant_type": "password", "username": name, "password": PASSWORD });
        let (status, refused) = client.post_json("/v1/token", &form).await?;
        said.push((status, refused["detail"].clone()));
    }
    ensure!(said[0].0 == 401 && said.iter().all(|one| *one == said[0]), "{said:?}");
    Ok(())
}
