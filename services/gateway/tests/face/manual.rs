use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::{Gateway, problem};

/// The pages that the repository has, as they are served.
fn written() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/manual");
    let names = std::fs::read_dir(folder).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let pages = names.filter_map(|name| Some(format!("/manual/{}", name.strip_suffix(".md")?)));
    pages.collect()
}

/// What stands in each attribute of that name.
fn attributes<'p>(page: &'p str, name: &str) -> Vec<&'p str> {
    let start = format!(" {name}=\"");
    let parts: Vec<_> = page.split(start.as_str()).skip(1).collect();
    parts.into_iter().map(|rest| rest.split('"').next().unwrap()).collect()
}

/// Every page of the manual, by its address.
async fn pages(gateway: &Gateway) -> BTreeMap<String, String> {
    let mut pages = BTreeMap::new();
    for address in written() {
        let page = gateway.client.get(format!("{}{address}", gateway.url)).send().await.unwrap();
        assert_eq!(page.status(), 200, "{address}");
        pages.insert(address, page.text().await.unwrap());
    }
    pages
}

#[tokio::test]
async fn every_link_and_every_picture_of_the_manual_leads_somewhere() {
    let gateway = Gateway::start().await;
    let pages = pages(&gateway).await;
    for (address, page) in &pages {
        let links = attributes(page, "href").into_iter().chain(attributes(page, "src"));
        for link in links.filter(|link| !link.contains("://")) {
            let (path, place) = link.split_once('#').unwrap_or((link, ""));
            let there = if path.is_empty() { address.as_str() } else { path };
            let url = format!("{}{there}", gateway.url);
            let status = gateway.client.get(url).send().await.unwrap().status();
            assert_eq!(status, 200, "{address} links to {link}");
            let named = || attributes(&pages[there], "id").contains(&place);
            assert!(place.is_empty() || named(), "{address} links to {link}, which has no name");
        }
    }
}

#[tokio::test]
async fn every_page_of_the_manual_is_found_from_its_contents() {
    let gateway = Gateway::start().await;
    let contents = gateway.client.get(format!("{}/manual", gateway.url)).send().await.unwrap();
    let contents = contents.text().await.unwrap();
    let mut linked: BTreeSet<_> =
        attributes(&contents, "href").into_iter().map(str::to_owned).collect();
    linked.insert("/manual/index".to_owned());
    let lost: Vec<_> = written().difference(&linked).cloned().collect();
    assert!(lost.is_empty(), "nothing leads to {lost:?}");
}

#[tokio::test]
async fn the_manual_is_served_with_a_strict_policy_that_its_pages_keep() {
    let gateway = Gateway::start().await;
    let answer = gateway.client.get(format!("{}/manual", gateway.url)).send().await.unwrap();
    let policy = answer.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    for (address, page) in pages(&gateway).await {
        // The policy would leave both away.
        assert!(!page.contains(" style=") && !page.contains("<script"), "{address}");
        let described = attributes(&page, "alt").into_iter().filter(|alt| alt.len() > 10).count();
        assert_eq!(
            described,
            attributes(&page, "src").len(),
            "{address} has pictures without words"
        );
        let language = if address.ends_with(".fr") { "fr" } else { "en" };
        assert!(page.contains(&format!("<html lang=\"{language}\">")), "{address}");
    }
}

/// What a page is made of, in its order: headings below the first, pictures and rows of tables.
fn parts(page: &str) -> Vec<&str> {
    let tags = page.split('<').filter_map(|rest| rest.split([' ', '>']).next());
    tags.filter(|tag| matches!(*tag, "h2" | "h3" | "img" | "tr")).collect()
}

#[tokio::test]
async fn a_page_in_another_language_tells_of_as_much() {
    let gateway = Gateway::start().await;
    let pages = pages(&gateway).await;
    let translated: Vec<_> = pages
        .iter()
        .filter_map(|(address, page)| Some((address.strip_suffix(".fr")?, page)))
        .collect();
    assert!(!translated.is_empty(), "no page is there in another language");
    for (english, page) in translated {
        assert_eq!(parts(page), parts(&pages[english]), "{english}");
    }
}

#[tokio::test]
async fn nothing_beside_the_manual_is_served_as_a_page_of_it() {
    let gateway = Gateway::start().await;
    for path in ["/manual/nothing", "/manual/..%2Foperations", "/manual/pictures/nothing.png"] {
        let answer = gateway.client.get(format!("{}{path}", gateway.url)).send().await.unwrap();
        assert_eq!(problem(answer).await.0, 404, "{path}");
    }
}
