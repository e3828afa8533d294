use crate::{Gateway, problem};

#[tokio::test]
async fn the_page_is_served_with_a_strict_policy_and_a_tag() {
    let gateway = Gateway::start().await;
    let url = format!("{}/", gateway.url);
    let page = gateway.client.get(&url).send().await.unwrap();
    let header = |name: &str| page.headers()[name].to_str().unwrap().to_owned();
    let (policy, tag) = (header("content-security-policy"), header("etag"));
    assert_eq!((page.status().as_u16(), header("content-type").as_str()), (200, "text/html"));
    assert!(policy.contains("default-src 'self'") && !policy.contains("unsafe"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'"));
    assert_eq!(header("x-content-type-options"), "nosniff");

    let again = gateway.client.get(&url).header("if-none-match", tag).send().await.unwrap();
    assert_eq!(again.status(), 304);
    let inner = gateway.client.get(format!("{}/../Cargo.toml", gateway.url)).send().await.unwrap();
    assert_eq!(problem(inner).await.0, 404);
}

#[tokio::test]
async fn the_docs_page_works_without_the_internet() {
    let gateway = Gateway::start().await;
    let docs = gateway.client.get(format!("{}/docs", gateway.url)).send().await.unwrap();
    let policy = docs.headers()["content-security-policy"].to_str().unwrap().to_owned();
    let text = docs.text().await.unwrap();
    assert!(
        text.contains("swagger-ui") && !text.contains("http://") && !text.contains("https://"),
        "{text}"
    );
    assert!(policy.starts_with("default-src 'self'"));
}
