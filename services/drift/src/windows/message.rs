//! The messages of windows.

use proto::drift;

use super::carriers::Carrier;
use super::compare::{Category, Comparison};
use super::{Group, Seen, Window};
use crate::message::{feature, thresholds, verdict};

pub fn window(window: Window) -> drift::Window {
    let Group { image_kind, scanner, site, .. } = window.group;
    let gravest = window.seen.verdict();
    let Seen { model, answers, features, thresholds: limits } = window.seen;
    drift::Window {
        id: window.id,
        model: Some(model),
        image_kind,
        scanner,
        site,
        number: window.number as u64,
        from_ms: window.from_ms,
        to_ms: window.to_ms,
        scans: window.scans as u64,
        verdict: verdict(gravest).into(),
        drifted: window.standing.drifted,
        features: features.into_iter().map(feature).collect(),
        thresholds: Some(thresholds(limits)),
        created_ms: window.created_ms,
        answers: answers.into_iter().map(|(name, count)| (name, count as u64)).collect(),
    }
}

pub fn carrier(carrier: Carrier) -> drift::Carrier {
    let Carrier { scan_id, completed_ms, contribution, values } = carrier;
    drift::Carrier { scan_id, completed_ms, contribution, values: values.into_iter().collect() }
}

pub fn comparison(a: Window, b: Window, comparison: Comparison) -> drift::Comparison {
    let Comparison { features, thresholds: limits, categories } = comparison;
    drift::Comparison {
        a: Some(window(a)),
        b: Some(window(b)),
        features: features.into_iter().map(feature).collect(),
        categories: categories.into_iter().map(category).collect(),
        thresholds: Some(thresholds(limits)),
    }
}

fn category(category: Category) -> drift::Category {
    let Category { name, counts, psi, jensen_shannon, p_value } = category;
    let counts = counts.into_iter().map(|(value, [a, b])| {
        let (a, b) = (a as u64, b as u64);
        drift::CategoryCount { value, a, b }
    });
    drift::Category {
        name: name.to_owned(),
        counts: counts.collect(),
        psi,
        jensen_shannon,
        chi_squared_p_value: p_value,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use domain::TenantId;
    use proto::events::ModelIdentity;
    use service::{system_clock, system_random};

    use super::*;
    use crate::report::Thresholds;
    use crate::windows::alarm::Standing;

    /// Each of its numbers is another one, so that none can stand in a place that is not its own.
    #[test]
    fn a_window_says_what_its_row_does() {
        let tenant = TenantId::new(&system_clock(), &system_random());
        let [model_name, model_version, image_kind, scanner, site] =
            ["n", "v", "k", "s", "t"].map(str::to_owned);
        let model = ModelIdentity { name: "n".into(), version: "v".into(), sha256: "ab".into() };
        let said = window(Window {
            id: "w".into(),
            group: Group { tenant, model_name, model_version, image_kind, scanner, site },
            number: 1,
            from_ms: 2,
            to_ms: 3,
            created_ms: 4,
            scans: 5,
            standing: Standing { drifted: true, calm: 6 },
            seen: Seen {
                model: model.clone(),
                answers: BTreeMap::from([("found".to_owned(), 7)]),
                features: Vec::new(),
                thresholds: Thresholds {
                    scans_min: 8,
                    psi_watch: 9.0,
                    psi_drift: 10.0,
                    p_max: 11.0,
                },
            },
        });
        let expected = drift::Window {
            id: "w".into(),
            model: Some(model),
            image_kind: "k".into(),
            scanner: "s".into(),
            site: "t".into(),
            number: 1,
            from_ms: 2,
            to_ms: 3,
            scans: 5,
            verdict: drift::Verdict::NoReference.into(),
            drifted: true,
            features: Vec::new(),
            thresholds: Some(drift::Thresholds {
                scans_min: 8,
                psi_watch: 9.0,
                psi_drift: 10.0,
                p_max: 11.0,
            }),
            created_ms: 4,
            answers: [("found".to_owned(), 7)].into(),
        };
        assert_eq!(said, expected);
    }
}
