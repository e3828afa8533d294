//! The events that become deliveries: `scan.completed`, of which a result is pushed, and `drift.detected` and `drift.cleared`, which are
//! of no scan and are pushed as they came.

use domain::{Answer, Error, ErrorKind, Result, ScanId, TenantId, WindowId};
use platform::db::{BindId, Run, Unit, failed};
use platform::queue::Event;
use proto::events::{DriftCleared, DriftDetected, ScanCompleted};
use service::CloudEvent;
use service::topics::{DRIFT_CLEARED, DRIFT_DETECTED, SCAN_COMPLETED};

use crate::Store;

/// What has happened in a hospital.
#[derive(Clone, Debug)]
pub struct News {
    pub event_id: String,
    pub tenant: TenantId,
    pub pushed: Pushed,
}

/// What is pushed of it.
#[derive(Clone, Debug)]
pub enum Pushed {
    /// The result of a scan that is done.
    Scan { scan: ScanId, answer: Answer },
    /// The event itself, byte for byte.
    Event { event_type: &'static str, body: String },
}

impl News {
    pub fn completed(body: Vec<u8>) -> Result<News> {
        let event = CloudEvent::<ScanCompleted>::parse(SCAN_COMPLETED, &body)?;
        let ScanCompleted { tenant, scan_id, answer, .. } = event.data;
        let answer = Answer::named(&answer)
            .ok_or_else(|| ErrorKind::Invalid.error(format!("no answer is `{answer}`")))?;
        let scan = scan_id.parse().map_err(of_no_scan)?;
        Ok(News {
            event_id: event.id,
            tenant: tenant.parse().map_err(of_no_scan)?,
            pushed: Pushed::Scan { scan, answer },
        })
    }

    pub fn detected(body: Vec<u8>) -> Result<News> {
        let event = CloudEvent::<DriftDetected>::parse(DRIFT_DETECTED, &body)?;
        News::of_drift(DRIFT_DETECTED, &event.id, &event.data.tenant_id, body)
    }

    pub fn cleared(body: Vec<u8>) -> Result<News> {
        let event = CloudEvent::<DriftCleared>::parse(DRIFT_CLEARED, &body)?;
        News::of_drift(DRIFT_CLEARED, &event.id, &event.data.tenant_id, body)
    }

    /// Its id is that of the window in which it was seen.
    fn of_drift(event: Event<'static>, id: &str, tenant: &str, body: Vec<u8>) -> Result<News> {
        let window: WindowId = id.parse().map_err(of_no_window)?;
        let body = String::from_utf8(body)
            .map_err(|error| ErrorKind::Invalid.error("an event is no text").because(error))?;
        Ok(News {
            event_id: window.to_string(),
            tenant: tenant.parse().map_err(of_no_window)?,
            pushed: Pushed::Event { event_type: event.0, body },
        })
    }

    pub fn scan(&self) -> Option<ScanId> {
        match self.pushed {
            Pushed::Scan { scan, .. } => Some(scan),
            Pushed::Event { .. } => None,
        }
    }
}

fn of_no_scan(error: Error) -> Error {
    ErrorKind::Invalid.error("an event about no scan of a tenant").because(error)
}

fn of_no_window(error: Error) -> Error {
    ErrorKind::Invalid.error("an event about no window of a tenant").because(error)
}

/// What a row is of.
#[derive(Clone, Debug)]
pub enum About {
    Scan(ScanId),
    /// An event of no scan, by its id.
    Event(String),
}

impl About {
    /// As columns hold it.
    pub fn of(scan_id: &str, event_id: String) -> Result<About> {
        if scan_id.is_empty() {
            Ok(About::Event(event_id))
        } else {
            Ok(About::Scan(scan_id.parse()?))
        }
    }

    pub fn scan(&self) -> Option<ScanId> {
        match self {
            About::Scan(scan) => Some(*scan),
            About::Event(_) => None,
        }
    }

    /// By which the audit trail names it.
    pub fn object(&self) -> String {
        match self {
            About::Scan(scan) => scan.to_string(),
            About::Event(id) => id.clone(),
        }
    }
}

impl Store {
    /// Keeps an event of no scan, which whoever sends it reads again.
    pub async fn keep_event(&self, unit: &mut Unit, news: &News, body: &str) -> Result<()> {
        sqlx::query("INSERT INTO events (tenant_id, event_id, body) VALUES (?, ?, ?)")
            .id(news.tenant)
            .bind(news.event_id.clone())
            .bind(body.to_owned())
            .run(unit)
            .await
            .map(drop)
    }

    /// The event as it came.
    pub async fn event(&self, tenant: TenantId, id: &str) -> Result<String> {
        let body: Option<String> =
            sqlx::query_scalar("SELECT body FROM events WHERE tenant_id = ? AND event_id = ?")
                .id(tenant)
                .bind(id.to_owned())
                .fetch_optional(self.database.pool())
                .await
                .map_err(failed)?;
        body.ok_or_else(|| ErrorKind::Internal.error("an event that is to be pushed is not kept"))
    }
}

#[cfg(test)]
mod tests {
    use service::system_clock;

    use super::*;

    #[test]
    fn an_event_of_drift_is_its_hospitals_and_goes_out_as_it_came() {
        let (clock, random) = (system_clock(), service::system_random());
        let (tenant, window) = (TenantId::new(&clock, &random), WindowId::new(&clock, &random));
        let body = |kind: &str, tenant: &str, window: &str| {
            format!(
                r#"{{"specversion":"1.0","id":"{window}","source":"/medseg/drift","type":"{kind}","later":[1],"data":{{"tenant_id":"{tenant}"}}}}"#
            )
        };
        let (tenant_id, window_id) = (tenant.to_string(), window.to_string());
        let came = body("drift.cleared", &tenant_id, &window_id);
        let news = News::cleared(came.clone().into_bytes()).unwrap();
        assert_eq!((news.tenant, &news.event_id, news.scan()), (tenant, &window_id, None));
        let Pushed::Event { event_type, body: kept } = news.pushed else { panic!("an event") };
        assert_eq!((event_type, kept), ("drift.cleared", came.clone()));
        for strange in [
            came,
            body("drift.detected", "", &window_id),
            body("drift.detected", &tenant_id, "a window"),
        ] {
            let refused = News::detected(strange.into_bytes()).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Invalid);
        }
    }
}
