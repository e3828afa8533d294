//! Lists a tenant's scans by how far their review is, page by page.

use std::collections::BTreeSet;

use domain::feedback::ReviewState;
use domain::{ErrorKind, Result, ScanId};
use platform::db::failed;
use proto::storage::{ListReviews, Review, ReviewPage};
use service::claims::Claims;
use service::wire;
use sqlx::any::AnyRow;
use sqlx::{Any, QueryBuilder, Row};

use crate::list::{cursor_id, page_of, page_rows};
use crate::reviewed::{ask_reviewable, ask_reviewed, only_own, settles};
use crate::scans::{scan_of, select};
use crate::store::Store;

impl Store {
    /// One page of the scans that there is a result of, newest first. What others have said of a scan is told to whoever has
    /// judged it themselves, and to admins; that they differ, to adjudicators, too.
    pub async fn reviews(&self, claims: &Claims, list: &ListReviews) -> Result<ReviewPage> {
        let limit = page_rows(list.limit);
        let rows = query(claims, list, limit)?.build().fetch_all(self.database.pool()).await;
        let rows = rows.map_err(failed)?;
        let reviews = rows.iter().map(review_of).collect::<Result<Vec<_>>>()?;
        let (mut reviews, next_cursor) = page_of(reviews, limit, id_of);
        if only_own(claims, None).is_some() {
            let judged = self.judged_by(claims, &reviews).await?;
            reviews.iter_mut().for_each(|review| hide(review, &judged, settles(claims)));
        }
        Ok(ReviewPage { reviews, next_cursor })
    }

    /// Which of these scans the caller has judged.
    async fn judged_by(&self, claims: &Claims, reviews: &[Review]) -> Result<BTreeSet<String>> {
        let ids = reviews.iter().filter_map(|review| Some(review.scan.as_ref()?.id.clone()));
        let ids: Vec<String> = ids.collect();
        if ids.is_empty() {
            return Ok(BTreeSet::new());
        }
        let mut query = QueryBuilder::<Any>::new("SELECT scan_id FROM feedback WHERE tenant_id = ");
        query.push_bind(claims.tenant().to_string());
        query.push(" AND reader_id = ").push_bind(claims.subject.clone());
        query.push(" AND scan_id IN (");
        let mut list = query.separated(", ");
        for id in ids {
            list.push_bind(id);
        }
        query.push(")");
        let rows = query.build().fetch_all(self.database.pool()).await.map_err(failed)?;
        rows.iter().map(|row| row.try_get("scan_id").map_err(failed)).collect()
    }
}

fn id_of(review: &Review) -> &str {
    review.scan.as_ref().map_or("", |scan| &scan.id)
}

/// Leaves out what others have said of a scan that the caller has not judged, but for a conflict to whoever settles it.
fn hide(review: &mut Review, judged: &BTreeSet<String>, settles: bool) {
    use proto::storage::ReviewState::{Conflict, Unreviewed, Unspecified};
    let own = review.scan.as_ref().is_some_and(|scan| judged.contains(&scan.id));
    let told = own || review.state() == Unreviewed || (settles && review.state() == Conflict);
    if !told {
        review.set_state(Unspecified);
    }
}

fn review_of(row: &AnyRow) -> Result<Review> {
    let text = |column: &str| row.try_get::<String, _>(column).map_err(failed);
    let unknown = || ErrorKind::Internal.error("a review is in a state that nobody knows");
    let state = ReviewState::named(&text("review")?).ok_or_else(unknown)?;
    Ok(Review {
        scan: Some(scan_of(row)?),
        state: wire::review_state(state).into(),
        model_version: text("model_version")?,
    })
}

/// The query for one page and one scan more, which tells whether there is a next page.
fn query(claims: &Claims, list: &ListReviews, limit: u32) -> Result<QueryBuilder<Any>> {
    let mut query = QueryBuilder::<Any>::new(select!("WHERE scans.tenant_id = "));
    query.push_bind(claims.tenant().to_string());
    query.push(" AND scans.id < ").push_bind(cursor_id::<ScanId>(&list.cursor)?);
    ask_reviewable(&mut query);
    if let Some(state) = wire::review_state_of(list.state()) {
        ask_reviewed(&mut query, state, only_own(claims, Some(state)));
    }
    if !list.model_version.is_empty() {
        query.push(" AND scans.model_version = ").push_bind(list.model_version.clone());
    }
    query.push(" ORDER BY scans.id DESC LIMIT ").push_bind(i64::from(limit) + 1);
    Ok(query)
}
