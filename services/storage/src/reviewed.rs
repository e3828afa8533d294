//! What lists of scans ask for by their review.

use domain::feedback::ReviewState;
use service::claims::{Claims, Role};
use sqlx::{Any, QueryBuilder};

/// The reader of whose own words alone a list of scans in that state tells; None where it tells of everybody's.
pub fn only_own(claims: &Claims, state: Option<ReviewState>) -> Option<&str> {
    let to_settle = state == Some(ReviewState::Conflict) && settles(claims);
    let sees_all = claims.roles.contains(&Role::Admin) || to_settle;
    (!sees_all).then_some(claims.subject.as_str())
}

/// Whether the caller settles what readers differ on.
pub fn settles(claims: &Claims) -> bool {
    claims.roles.contains(&Role::Adjudicator)
}

/// Asks for scans that there is a result of: a failed analysis says nothing, so there is nothing to review.
pub fn ask_reviewable(query: &mut QueryBuilder<Any>) {
    // A failed analysis says nothing, and what was kept without being analysed was never tried: there is no result to judge.
    query.push(" AND scans.state = 'done' AND scans.answer <> 'failed' AND jobs.attempt > 0");
}

/// Asks for scans whose review has come so far: those that were judged only where `own` has judged them, too.
pub fn ask_reviewed(query: &mut QueryBuilder<Any>, state: ReviewState, own: Option<&str>) {
    query.push(" AND scans.review = ").push_bind(state.name());
    if let Some(reader) = own.filter(|_| state != ReviewState::Unreviewed) {
        query.push(
            " AND EXISTS (SELECT 1 FROM feedback WHERE feedback.tenant_id = scans.tenant_id
                 AND feedback.scan_id = scans.id AND feedback.reader_id = ",
        );
        query.push_bind(reader.to_owned()).push(")");
    }
}
