use domain::{Error, ErrorKind, Result, ScanId, TenantId};
use proto::events::ScanErased;

use crate::event::CloudEvent;
use crate::topics::SCAN_ERASED;

/// What the event `scan.erased` tells: a scan of which nothing is to be kept from now on.
#[derive(Clone, Copy, Debug)]
pub struct ErasedScan {
    /// Whose it was.
    pub tenant: TenantId,
    /// The scan.
    pub scan: ScanId,
    /// When it was erased, in milliseconds since 1970 (UTC).
    pub erased_ms: i64,
}

impl ErasedScan {
    /// Reads the event, and refuses any other.
    pub fn parse(body: &[u8]) -> Result<ErasedScan> {
        let ScanErased { tenant_id, scan_id, erased_ms } =
            CloudEvent::<ScanErased>::parse(SCAN_ERASED, body)?.data;
        Ok(ErasedScan {
            tenant: tenant_id.parse().map_err(strange)?,
            scan: scan_id.parse().map_err(strange)?,
            erased_ms,
        })
    }
}

fn strange(error: Error) -> Error {
    ErrorKind::Invalid.error("an event about no scan of a tenant").because(error)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn event() -> Value {
        json!({
            "specversion": "1.0", "id": "e", "source": "/medseg/storage", "type": "scan.erased",
            "data": {
                "tenant_id": "01890000-0000-7000-8000-000000000001",
                "scan_id": "01890000-0000-7000-8000-000000000002",
                "erased_ms": 5,
            },
        })
    }

    fn parsed(event: &Value) -> Result<ErasedScan> {
        ErasedScan::parse(event.to_string().as_bytes())
    }

    #[test]
    fn an_event_is_read_and_one_about_no_scan_of_a_tenant_is_refused() {
        let erased = parsed(&event()).unwrap();
        let told = (erased.tenant.to_string(), erased.scan.to_string(), erased.erased_ms);
        let said = |number| format!("01890000-0000-7000-8000-00000000000{number}");
        assert_eq!(told, (said(1), said(2), 5));
        for field in ["tenant_id", "scan_id"] {
            let mut event = event();
            event["data"][field] = "nonsense".into();
            assert_eq!(parsed(&event).unwrap_err().kind(), ErrorKind::Invalid, "{field}");
        }
    }
}
