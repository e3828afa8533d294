//! What is asked of windows, and answered.

use domain::limits::{PAGE_DEFAULT, PAGE_MAX};
use domain::{ErrorKind, Result, WindowId};
use proto::drift::{self, ListWindowsRequest};
use service::claims::Tenant;

use super::carriers::{carriers, carrying};
use super::compare::compare;
use super::message;
use super::store::Wanted;
use crate::quality::apart;
use crate::references::References;
use crate::store::Store;

/// The cursor of the first page: nothing ends later.
const BEGINNING: (i64, String) = (i64::MAX, String::new());

/// One page of the tenant's windows, newest first.
pub async fn list(
    store: &Store,
    tenant: Tenant,
    asked: ListWindowsRequest,
) -> Result<drift::Windows> {
    let mut wanted = wanted(asked)?;
    let limit = wanted.limit;
    // One more tells whether there is another page.
    wanted.limit += 1;
    let mut windows = store.windows(tenant, &wanted).await?;
    let more = windows.len() as i64 > limit;
    windows.truncate(limit as usize);
    let last = windows.last().filter(|_| more);
    let next_cursor = last.map(|last| format!("{}.{}", last.to_ms, last.id)).unwrap_or_default();
    Ok(drift::Windows { windows: windows.into_iter().map(message::window).collect(), next_cursor })
}

fn wanted(asked: ListWindowsRequest) -> Result<Wanted> {
    let limit = if asked.limit == 0 { PAGE_DEFAULT } else { asked.limit };
    if limit > PAGE_MAX {
        return Err(ErrorKind::Invalid.error(format!("a page has {PAGE_MAX} windows at most")));
    }
    Ok(Wanted {
        from_ms: asked.from_ms,
        to_ms: if asked.to_ms == 0 { i64::MAX } else { asked.to_ms },
        model_version: asked.model_version,
        image_kind: asked.image_kind,
        scanner: asked.scanner,
        site: asked.site,
        before: cursor(&asked.cursor)?,
        limit: limit.into(),
    })
}

fn cursor(text: &str) -> Result<(i64, String)> {
    if text.is_empty() {
        return Ok(BEGINNING);
    }
    let parts = text.split_once('.').and_then(|(ms, id)| {
        let id: WindowId = id.parse().ok()?;
        Some((ms.parse().ok()?, id.to_string()))
    });
    parts.ok_or_else(|| ErrorKind::Invalid.error("this is no cursor of ours"))
}

/// A window, with so many of the scans that carry its difference from the training.
pub async fn in_full(
    (store, references): (&Store, &References),
    (tenant, token): (Tenant, &str),
    id: &str,
    count: u32,
) -> Result<drift::WindowInFull> {
    let window = store.one_window(tenant, id).await?;
    let members = store.members(tenant, &window.id).await?;
    let reference = references.of_model(Some(&window.seen.model), token).await?;
    let features = carrying(&window.seen);
    let of = features.clone();
    let mut carriers = apart(move || carriers(&members, &reference, &of)).await?;
    carriers.truncate(count as usize);
    Ok(drift::WindowInFull {
        window: Some(message::window(window)),
        carriers: carriers.into_iter().map(message::carrier).collect(),
        features,
    })
}

/// How window `b` differs from window `a`.
pub async fn comparison(
    store: &Store,
    tenant: Tenant,
    [a, b]: [&str; 2],
) -> Result<drift::Comparison> {
    let (a, b) = (store.one_window(tenant, a).await?, store.one_window(tenant, b).await?);
    let of_a = store.members(tenant, &a.id).await?;
    let of_b = store.members(tenant, &b.id).await?;
    let compared = apart(move || compare(&of_a, &of_b)).await?;
    Ok(message::comparison(a, b, compared))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_one_of_ours_or_none() {
        let id = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
        assert_eq!(cursor("").unwrap(), (i64::MAX, String::new()));
        assert_eq!(cursor(&format!("17.{id}")).unwrap(), (17, id.to_owned()));
        for strange in ["17", "17.", &format!("x.{id}"), id, "17.' OR '1' = '1"] {
            assert_eq!(cursor(strange).unwrap_err().kind(), ErrorKind::Invalid, "{strange}");
        }
    }

    #[test]
    fn a_page_has_a_limit() {
        let limit = |limit| wanted(ListWindowsRequest { limit, ..Default::default() });
        assert_eq!(limit(0).unwrap().limit, i64::from(PAGE_DEFAULT));
        assert_eq!(limit(PAGE_MAX).unwrap().limit, i64::from(PAGE_MAX));
        assert_eq!(limit(PAGE_MAX + 1).unwrap_err().kind(), ErrorKind::Invalid);
    }
}
