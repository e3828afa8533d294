//! Who asks, from where and why: told along with a call, and known wherever something is noted of it.

use std::sync::{Arc, Mutex, PoisonError};

tokio::task_local! {
    static ASKED: Arc<Circumstances>;
}

/// Who asks, as their token says it.
#[derive(Clone, Default)]
pub struct Asker {
    /// The id of the user or API client.
    pub subject: String,
    /// What people call them; empty: nobody says.
    pub name: String,
    /// Their roles, with blanks between.
    pub roles: String,
}

/// What is known of a call besides what it asks for.
#[derive(Default)]
pub struct Circumstances {
    /// From where: a network address, or the name that a scanner gave itself with its address. Empty: nobody says.
    pub origin: String,
    /// Why, in the caller's words. Empty: they do not say.
    pub reason: String,
    asker: Mutex<Option<Asker>>,
}

impl Circumstances {
    /// A call from there, for that reason.
    pub fn new(origin: String, reason: String) -> Circumstances {
        Circumstances { origin, reason, asker: Mutex::default() }
    }
}

/// Does `work` under these circumstances.
pub async fn asked<T>(circumstances: Circumstances, work: impl Future<Output = T>) -> T {
    ASKED.scope(Arc::new(circumstances), work).await
}

/// The circumstances of what is being done; None: it is nobody's call.
pub fn current() -> Option<Arc<Circumstances>> {
    ASKED.try_with(Arc::clone).ok()
}

/// Does `work` under circumstances that another task has handed on.
pub async fn propagate<T>(
    circumstances: Option<Arc<Circumstances>>,
    work: impl Future<Output = T>,
) -> T {
    match circumstances {
        Some(circumstances) => ASKED.scope(circumstances, work).await,
        None => work.await,
    }
}

/// Says who asks, once their token was verified. Of several who do, as where a service vouches for somebody, the last counts.
pub fn known(asker: Asker) {
    if let Some(asked) = current() {
        *asked.asker.lock().unwrap_or_else(PoisonError::into_inner) = Some(asker);
    }
}

/// Who asks; None: nobody whose token was verified.
pub fn asker() -> Option<Asker> {
    current()?.asker.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Why, in the caller's words; empty: they do not say.
pub fn reason() -> String {
    current().map(|asked| asked.reason.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_of_its_own_knows_who_asked_from_where_and_why() {
        let circumstances = Circumstances::new("10.0.0.7".into(), "on call".into());
        let seen = asked(circumstances, async {
            known(Asker { subject: "worker".into(), ..Asker::default() });
            known(Asker { subject: "user".into(), ..Asker::default() });
            tokio::spawn(propagate(current(), async {
                let origin = current().map(|asked| asked.origin.clone());
                (asker().map(|asker| asker.subject), origin, reason())
            }))
            .await
        });
        let (subject, origin, reason) = seen.await.unwrap();
        assert_eq!(subject.as_deref(), Some("user"));
        assert_eq!((origin.as_deref(), reason.as_str()), (Some("10.0.0.7"), "on call"));
        assert!(current().is_none() && asker().is_none(), "it was that call's alone");
    }
}
