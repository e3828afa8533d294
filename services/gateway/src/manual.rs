//! The manual, as the repository has it in Markdown: a page for each file, in the language that its name ends in.

use axum::Router;
use axum::http::{HeaderMap, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use maud::{DOCTYPE, PreEscaped, html};
use pulldown_cmark::html::push_html;
use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd};
use rust_embed::RustEmbed;

use crate::extract::Path;
use crate::page;
use crate::problem::{NOT_FOUND, Problem};

/// The manual as it was written.
#[derive(RustEmbed)]
#[folder = "../../docs/manual"]
struct Written;

/// The page that leads to all others.
const CONTENTS: &str = "index";

const STYLE: &str = include_str!("manual.css");

/// The pages show pictures in one style, and run nothing.
const MANUAL_POLICY: &str = "default-src 'none'; img-src 'self'; style-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// Asked for again each time: a release may bring other words.
const CACHED: &str = "no-cache";

/// `/manual`, its pages, and what they show.
pub fn routes() -> Router {
    Router::new()
        .route("/manual", get(contents))
        .route("/manual/{name}", get(show))
        .route("/manual/manual.css", get(style))
        .route("/manual/pictures/{name}", get(picture))
}

async fn contents() -> Result<Response, Problem> {
    shown(CONTENTS)
}

async fn show(Path(name): Path<String>) -> Result<Response, Problem> {
    shown(&name)
}

async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css"), (header::CACHE_CONTROL, CACHED)], STYLE).into_response()
}

async fn picture(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let file = Written::get(&format!("pictures/{name}"));
    let file = file.ok_or_else(|| NOT_FOUND.problem("the manual has no such picture"))?;
    Ok(page::answer(file, &headers, CACHED, MANUAL_POLICY))
}

fn shown(name: &str) -> Result<Response, Problem> {
    let none = || NOT_FOUND.problem("the manual has no such page");
    let file = Written::get(&format!("{name}.md")).ok_or_else(none)?;
    let markdown = std::str::from_utf8(&file.data).map_err(|_| none())?;
    let about = [(header::CACHE_CONTROL, CACHED), (header::CONTENT_SECURITY_POLICY, MANUAL_POLICY)];
    Ok((about, Html(page_of(name, markdown))).into_response())
}

fn page_of(name: &str, markdown: &str) -> String {
    let (language, all) =
        if name.ends_with(".fr") { ("fr", "Sommaire") } else { ("en", "Contents") };
    let title = markdown.lines().next().unwrap_or_default().trim_start_matches("# ");
    let page = html! {
        (DOCTYPE)
        html lang=(language) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · medseg" }
                link rel="stylesheet" href="/manual/manual.css";
            }
            body {
                header { a href="/" { "medseg" } a href="/manual" { (all) } }
                main { (PreEscaped(body_of(markdown))) }
            }
        }
    };
    page.into_string()
}

fn body_of(markdown: &str) -> String {
    let mut events: Vec<_> =
        Parser::new_ext(markdown, Options::ENABLE_TABLES).map(leading).collect();
    name_headings(&mut events);
    let mut body = String::new();
    push_html(&mut body, events.into_iter());
    body
}

/// The event, with its link or picture as it is found here.
fn leading(event: Event<'_>) -> Event<'_> {
    match event {
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            Event::Start(Tag::Link { link_type, dest_url: served(dest_url), title, id })
        }
        Event::Start(Tag::Image { link_type, dest_url, title, id }) => {
            Event::Start(Tag::Image { link_type, dest_url: served(dest_url), title, id })
        }
        // The manual is Markdown alone: what looks like HTML is shown as it is written.
        Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
        event => event,
    }
}

/// Where the file that a page links to is served.
fn served(link: CowStr<'_>) -> CowStr<'_> {
    if link.starts_with(['/', '#']) || link.contains("://") {
        return link;
    }
    let (file, place) = match link.split_once('#') {
        Some((file, place)) => (file, format!("#{place}")),
        None => (&*link, String::new()),
    };
    format!("/manual/{}{place}", file.strip_suffix(".md").unwrap_or(file)).into()
}

/// Gives each heading a name to link to: the one that it has where the repository is read.
fn name_headings(events: &mut [Event<'_>]) {
    let is_heading =
        |(_, event): &(usize, &Event<'_>)| matches!(event, Event::Start(Tag::Heading { .. }));
    let headings: Vec<_> = events.iter().enumerate().filter(is_heading).map(|(at, _)| at).collect();
    for at in headings {
        let name = anchor(&words_of(&events[at..]));
        if let Event::Start(Tag::Heading { id, .. }) = &mut events[at] {
            *id = Some(name.into());
        }
    }
}

/// The words of the heading that the events begin with.
fn words_of(events: &[Event<'_>]) -> String {
    let inside = events.iter().take_while(|e| !matches!(e, Event::End(TagEnd::Heading(_))));
    let words = inside.filter_map(|event| match event {
        Event::Text(words) | Event::Code(words) => Some(&**words),
        _ => None,
    });
    words.collect()
}

fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase().replace(' ', "-");
    kept.chars().filter(|c| c.is_alphanumeric() || *c == '-').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_where_the_files_are_served() {
        for (link, there) in [
            ("clinicians.fr.md", "/manual/clinicians.fr"),
            ("integrators.md#a-client", "/manual/integrators#a-client"),
            ("pictures/found.png", "/manual/pictures/found.png"),
            ("#below", "#below"),
            ("/docs", "/docs"),
            ("https://dvc.org", "https://dvc.org"),
        ] {
            assert_eq!(&*served(link.into()), there);
        }
    }

    #[test]
    fn a_heading_is_named_as_where_the_repository_is_read() {
        let body = body_of("# What `medseg` says: four answers\n\n## À lire d'abord\n");
        assert!(body.contains(r#"<h1 id="what-medseg-says-four-answers">"#), "{body}");
        assert!(body.contains(r#"<h2 id="à-lire-dabord">"#), "{body}");
    }

    #[test]
    fn nothing_in_the_manual_is_taken_for_html() {
        let body = body_of("a <script>alert(1)</script>\n\n<div onclick=\"x\">\n");
        assert!(!body.contains("<script") && !body.contains("<div"), "{body}");
    }

    #[test]
    fn the_language_of_a_page_is_the_one_that_its_name_ends_in() {
        assert!(page_of("clinicians.fr", "# Lire\n").contains(r#"<html lang="fr">"#));
        assert!(page_of("clinicians", "# Reading\n").contains(r#"<html lang="en">"#));
        assert!(page_of("clinicians", "# Reading\n").contains("<title>Reading · medseg</title>"));
    }
}
