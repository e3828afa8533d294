use domain::TenantId;
use proto::storage::series_rules_client::SeriesRulesClient;
use proto::storage::*;
use service::Peer;
use service::claims::Role;
use service::topics::SCAN_READY;
use tonic::Code;

use crate::world::{Upload, World};

fn client(world: &World) -> SeriesRulesClient<Peer> {
    world.series_rules.clone()
}

fn rule(contains: &str, preference: &str) -> NewSeriesRule {
    NewSeriesRule { site: "North".into(), contains: contains.into(), preference: preference.into() }
}

pub async fn a_series_that_was_not_picked_is_kept_with_the_reason_and_analysed_when_asked_for(
    world: World,
) {
    let kept = Upload::of("a localiser");
    let reasons = vec!["localizer".to_owned()];
    let (kind_model_name, kind_model_version) = ("m".to_owned(), "1".to_owned());
    let series =
        Some(SeriesFit { reasons, kind_model_name, kind_model_version, ..Default::default() });
    let (not_picked, fit) = ("it is a localiser".into(), series.clone());
    let header = AcceptHeader { not_picked, series: fit, ..kept.header };
    let scan = world.accept(Upload { header, ..kept }).await.unwrap();
    let expected = (State::Done, Answer::NotAnalysable, "it is a localiser");
    assert_eq!((scan.state(), scan.answer(), &*scan.reason), expected);
    let id = scan.id.clone();
    let seen = world.get(&scan).await;
    assert_eq!(
        (seen.state(), seen.answer(), seen.reason),
        (scan.state(), scan.answer(), scan.reason)
    );
    assert!(seen.completed_ms > 0);
    assert_eq!((&scan.series, &seen.series), (&series, &series));
    assert_eq!(world.count("outbox").await, 0, "nobody is told of work");

    let asked = world.by_role(world.hospital, Role::Clinician, ScanRef { id });
    let asked = world.scans.clone().retry(asked).await.unwrap().into_inner();
    assert_eq!((asked.state(), asked.answer()), (State::Queued, Answer::Unspecified));
    let mut ready = world.subscribe(SCAN_READY).await;
    let job = world.claim(&world.announced(&mut ready).await).await.unwrap();
    assert_eq!(job.series, series, "the result tells it, too");
}

pub async fn a_rule_about_series_holds_for_its_own_hospital_until_an_admin_takes_it_back(
    world: World,
) {
    let by = |role| world.by_role(world.hospital, role, rule(" FLAIR ", "never"));
    for role in [Role::Clinician, Role::Integrator, Role::Scientist] {
        let refused = client(&world).add(by(role)).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
    }
    let added = client(&world).add(by(Role::Admin)).await.unwrap().into_inner();
    assert_eq!((&*added.contains, &*added.site, &*added.preference), ("FLAIR", "North", "never"));

    let list = async |tenant: TenantId| {
        let asked = world.by_role(tenant, Role::Integrator, SeriesRulesRef {});
        client(&world).list(asked).await.unwrap().into_inner().rules
    };
    assert_eq!(list(world.hospital).await, std::slice::from_ref(&added));
    assert!(list(world.neighbour).await.is_empty());

    let remove = async |tenant: TenantId| {
        let asked = world.by_role(tenant, Role::Admin, SeriesRuleRef { id: added.id.clone() });
        client(&world).remove(asked).await
    };
    assert_eq!(remove(world.neighbour).await.unwrap_err().code(), Code::NotFound);
    assert!(remove(world.hospital).await.is_ok());
    assert_eq!(remove(world.hospital).await.unwrap_err().code(), Code::NotFound);
    assert!(list(world.hospital).await.is_empty());
}
