//! How often windows cry wolf, and what they see, on scans whose features are drawn.

use proto::events::Embedding;

use super::alarm::Change;
use super::*;
use crate::embedding::EMBEDDING;
use crate::reference::{Distribution, EmbeddingOfScan, Embeddings};

/// Of the model that has judged the scans, and how it makes embeddings.
const WEIGHTS: &str = "ab";
const PROJECTION: &str = "signs-32";
/// Figures of an embedding.
const WIDTH: u64 = 8;

/// SplitMix64 (Steele 2014): the same scans everywhere.
struct Drawn(u64);

impl Drawn {
    /// Evenly from 0 to 1.
    fn even(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Nearly normal: twelve even numbers have the variance 1 in all.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.even()).sum::<f64>() - 6.0
    }
}

#[derive(Clone, Copy)]
struct Protocol {
    rows: f64,
    echo_ms: f64,
}

/// Those of the sites that the training is from.
const PROTOCOLS: [Protocol; 4] = [
    Protocol { rows: 256.0, echo_ms: 120.0 },
    Protocol { rows: 256.0, echo_ms: 87.0 },
    Protocol { rows: 320.0, echo_ms: 140.0 },
    Protocol { rows: 512.0, echo_ms: 95.0 },
];

/// The features of a scan: heads, coils, contrast and grain differ from one to the next, and three of five have a tumour.
#[derive(Clone, Copy)]
struct Features {
    mean: f64,
    std: f64,
    p01: f64,
    p99: f64,
    sharpness: f64,
    background: f64,
    noise: f64,
    mask_fraction: f64,
    confidence: f64,
    /// How its site takes all of its scans.
    protocol: Protocol,
    /// What a network sees and no measure above.
    texture: f64,
}

impl Features {
    fn healthy(drawn: &mut Drawn) -> Features {
        let (gain, head) = (1.0 + 0.08 * drawn.normal(), 0.06 * drawn.normal());
        let (contrast, grain) = (1.0 + 0.05 * drawn.normal(), 1.0 + 0.12 * drawn.normal());
        let tumour = drawn.even();
        Features {
            mean: 0.22 * gain * (1.0 - 2.0 * head),
            std: 0.24 * gain * contrast,
            p01: 0.004 * gain * (1.0 + 0.3 * drawn.normal()),
            p99: 0.9 * gain * contrast,
            sharpness: 0.35 * grain,
            background: 0.5 + head,
            // Drawn beside the others.
            noise: 0.03 * grain * (1.0 + 0.1 * Drawn(drawn.0 ^ 0x7777).normal()),
            mask_fraction: if tumour > 0.4 { 0.02 * tumour } else { 0.0 },
            confidence: 0.9 + 0.03 * drawn.normal(),
            protocol: PROTOCOLS[0],
            texture: 0.0,
        }
    }

    /// Where the scan lies in a network: each figure is a mixture of what sets scans apart, and something of its own.
    fn embedding(&self, drawn: &mut Drawn) -> Embedding {
        let apart = [
            (self.mean - 0.22) / 0.032,
            (self.std - 0.24) / 0.023,
            (self.p99 - 0.9) / 0.085,
            (self.sharpness - 0.35) / 0.042,
            (self.background - 0.5) / 0.06,
            (self.mask_fraction - 0.008) / 0.008,
        ];
        let figure = |number: u64| {
            let signs = 0x9e37_79b9_7f4a_7c15_u64 >> (6 * number);
            let signed = apart
                .iter()
                .enumerate()
                .map(|(place, value)| if (signs >> place) & 1 == 1 { *value } else { -*value });
            let texture = if number.is_multiple_of(2) { self.texture } else { 0.0 };
            signed.sum::<f64>() / 6.0_f64.sqrt() + 0.5 * drawn.normal() + texture
        };
        let values = (0..WIDTH).map(figure).collect();
        Embedding { projection: PROJECTION.into(), slices: 24, values }
    }

    fn observation(self, embedding: Embedding) -> Observation {
        let named = [
            ("mean", self.mean),
            ("std", self.std),
            ("p01", self.p01),
            ("p99", self.p99),
            ("sharpness", self.sharpness),
            ("background", self.background),
            ("noise", self.noise),
            ("rows", self.protocol.rows),
            ("echo_ms", self.protocol.echo_ms),
        ];
        Observation {
            features: named.map(|(name, value)| (name.to_owned(), value)).into(),
            mask_fraction: Some(self.mask_fraction),
            confidence: Some(self.confidence),
            model: Some(model()),
            image_kind: Some("flair".into()),
            embedding: Some(embedding),
            ..Observation::default()
        }
    }
}

fn model() -> ModelIdentity {
    ModelIdentity { sha256: WEIGHTS.into(), ..ModelIdentity::default() }
}

/// A window of so many scans of one site, each changed in the same way.
fn window(drawn: &mut Drawn, scans: usize, change: fn(&mut Features)) -> Vec<Member> {
    let site = (drawn.0 % 4) as usize;
    members(drawn, scans, |_| PROTOCOLS[site], change)
}

fn members(
    drawn: &mut Drawn,
    scans: usize,
    protocol: impl Fn(usize) -> Protocol,
    change: fn(&mut Features),
) -> Vec<Member> {
    let member = |k: usize| {
        let mut features = Features { protocol: protocol(k), ..Features::healthy(drawn) };
        change(&mut features);
        // What lies beside does not change which scans are drawn next.
        let embedding = features.embedding(&mut Drawn(drawn.0 ^ 0x5555));
        let (id, observation) = (k.to_string(), Some(features.observation(embedding)));
        Member {
            event_id: id.clone(),
            scan_id: id,
            answer: Answer::Found,
            completed_ms: 7,
            site: None,
            observation,
        }
    };
    (0..scans).map(member).collect()
}

/// Five hundred scans of all sites, as training keeps of each feature.
fn reference(drawn: &mut Drawn) -> Reference {
    let members = members(drawn, 500, |k| PROTOCOLS[k % 4], |_| ());
    let distribution = |sample| Distribution { edges: vec![0.0, 1.0], counts: vec![1], sample };
    let mut features: BTreeMap<_, _> = values(observations(&members))
        .into_iter()
        .map(|(name, sample)| (name.to_owned(), distribution(sample)))
        .collect();
    let taken = ["rows", "echo_ms"].into_iter();
    let acquisition = taken.filter_map(|name| features.remove_entry(name)).collect();
    let scan = |observation: &Observation| {
        let embedding = observation.embedding.clone().unwrap_or_default();
        let Embedding { slices, values, .. } = embedding;
        EmbeddingOfScan { image_kind: "flair".into(), slices, values }
    };
    let scans = observations(&members).map(scan).collect();
    let (weights, projection) = (WEIGHTS.into(), PROJECTION.into());
    Reference { features, acquisition, embedding: Some(Embeddings { weights, projection, scans }) }
}

fn seen(members: &[Member], reference: &Reference) -> Seen {
    Seen::new(members, model(), reference)
}

#[test]
fn of_two_hundred_healthy_windows_two_alarm_at_most() {
    let mut drawn = Drawn(17);
    let reference = reference(&mut drawn);
    let (mut standing, mut alarms) = (Standing::default(), 0);
    for _ in 0..200 {
        let seen = seen(&window(&mut drawn, 40, |_| ()), &reference);
        let (after, change) = standing.after(&seen.features, seen.thresholds);
        alarms += usize::from(change == Some(Change::Detected));
        standing = after;
    }
    assert!(alarms <= 2, "{alarms} alarms");
}

#[test]
fn each_seeded_drift_is_seen_in_half_of_sixty_scans_and_named() {
    type Effect = fn(&mut Features);
    let seeded: [(&str, &str, Effect); 9] = [
        ("gain", "p99", |seen| {
            for value in [&mut seen.mean, &mut seen.std, &mut seen.p01, &mut seen.p99] {
                *value *= 1.3;
            }
        }),
        ("blur", "sharpness", |seen| seen.sharpness *= 0.75),
        ("noise", "noise", |seen| {
            seen.noise *= 1.8;
            seen.sharpness *= 1.3;
            seen.p01 += 0.002;
        }),
        ("another scanner", "sharpness", |seen| {
            seen.mean *= 0.85;
            seen.p99 *= 0.92;
            seen.sharpness *= 1.15;
            seen.confidence -= 0.02;
        }),
        ("another orientation", "background", |seen| {
            seen.background += 0.08;
            seen.mean *= 0.84;
            seen.sharpness *= 0.9;
        }),
        ("negatives", "mask_fraction", |seen| seen.mask_fraction = 0.0),
        ("another matrix", "rows", |seen| seen.protocol.rows = 640.0),
        ("another protocol", "echo_ms", |seen| seen.protocol.echo_ms = 60.0),
        ("what only a network sees", EMBEDDING, |seen| seen.texture = 1.5),
    ];
    let mut drawn = Drawn(17);
    let reference = reference(&mut drawn);
    for (name, feature, change) in seeded {
        let seen = seen(&window(&mut drawn, 30, change), &reference);
        let (_, told) = Standing::default().after(&seen.features, seen.thresholds);
        assert_eq!(told, Some(Change::Detected), "{name}: {:?}", seen.features);
        let found = seen.features.iter().find(|one| one.name == feature).unwrap();
        assert_eq!(found.verdict, Verdict::Drift, "{name}: {:?}", seen.features);
    }
}

#[test]
fn the_budget_is_shared_out_among_the_features_that_are_compared() {
    let mut drawn = Drawn(17);
    let reference = reference(&mut drawn);
    let seen = seen(&window(&mut drawn, 40, |_| ()), &reference);
    // How scans were taken is one share of it, in however many features.
    assert_eq!((seen.features.len(), seen.thresholds.p_max), (12, P_WINDOW / 11.0));
    assert_eq!(seen.answers["found"], 40);
}

#[test]
fn a_site_that_takes_all_scans_alike_is_as_in_training_unless_nobody_there_took_them_so() {
    let mut drawn = Drawn(17);
    let reference = reference(&mut drawn);
    let of = |echo_ms: f64, scans: usize, all: usize| {
        let mut members = window(&mut Drawn(5), all, |_| ());
        for member in &mut members[..scans] {
            let observation = member.observation.as_mut().unwrap();
            observation.features.insert("echo_ms".to_owned(), echo_ms);
        }
        let seen = seen(&members, &reference);
        seen.features.into_iter().find(|one| one.name == "echo_ms").unwrap()
    };
    // One value where the training has four: other by all measures of distributions, and nothing new.
    let alike = of(140.0, 40, 40);
    assert!(alike.psi.unwrap() > 0.25 && alike.ks_p_value.unwrap() < 1e-6, "{alike:?}");
    assert_eq!(
        (alike.verdict, alike.beyond, alike.p_value()),
        (Verdict::Stable, Some(0.0), Some(1.0))
    );
    let verdicts = [(200.0, 40, 40), (200.0, 6, 40), (200.0, 2, 40), (200.0, 29, 29)]
        .map(|(echo_ms, scans, all)| of(echo_ms, scans, all).verdict);
    let expected = [Verdict::Drift, Verdict::Watch, Verdict::Stable, Verdict::TooFewScans];
    assert_eq!(verdicts, expected);
}

#[test]
fn a_reference_from_before_a_feature_says_that_it_is_not_known_and_alarms_nobody() {
    let mut drawn = Drawn(17);
    let mut reference = reference(&mut drawn);
    reference.features.remove("noise").unwrap();
    reference.acquisition.clear();
    let members = window(&mut drawn, 40, |seen| {
        (seen.noise, seen.protocol) = (9.0, Protocol { rows: 7.0, echo_ms: 7.0 });
    });
    let seen = seen(&members, &reference);
    let unknown = seen.features.iter().filter(|one| one.verdict == Verdict::NoReference);
    let unknown: Vec<&str> = unknown.map(|one| one.name.as_str()).collect();
    assert_eq!((unknown, seen.verdict()), (vec!["echo_ms", "noise", "rows"], Verdict::Stable));
    assert_eq!(seen.thresholds.p_max, P_WINDOW / 9.0);
}

#[test]
fn a_reference_without_embeddings_of_such_scans_says_so_and_judges_the_rest() {
    let mut drawn = Drawn(17);
    let mut reference = reference(&mut drawn);
    let members = window(&mut drawn, 40, |seen| seen.texture = 1.5);
    let judged = |reference: &Reference| {
        let seen = seen(&members, reference);
        let embedding = seen.features.iter().find(|one| one.name == EMBEDDING).unwrap();
        (embedding.verdict, embedding.scans, seen.thresholds.p_max)
    };
    assert_eq!(judged(&reference), (Verdict::Drift, 40, P_WINDOW / 11.0));
    let embeddings = reference.embedding.take();
    assert_eq!(judged(&reference), (Verdict::NoReference, 40, P_WINDOW / 10.0));
    // Of other weights, of which nothing can be compared.
    reference.embedding = embeddings.map(|one| Embeddings { weights: "cd".into(), ..one });
    assert_eq!(judged(&reference), (Verdict::NoReference, 40, P_WINDOW / 10.0));
    // Too few to conclude anything from.
    let few = reference.embedding.take().map(|one| Embeddings {
        weights: WEIGHTS.into(),
        scans: one.scans.into_iter().take(29).collect(),
        ..one
    });
    reference.embedding = few;
    assert_eq!(judged(&reference), (Verdict::TooFewScans, 40, P_WINDOW / 11.0));
}

#[test]
fn windows_of_two_models_are_not_compared_by_where_their_scans_lie() {
    let mut drawn = Drawn(17);
    let (a, mut b) =
        (window(&mut drawn, 40, |_| ()), window(&mut drawn, 40, |seen| seen.texture = 1.5));
    let embedding = |a: &[Member], b: &[Member]| {
        let found = compare::compare(a, b).features;
        found.into_iter().find(|one| one.name == EMBEDDING).map(|one| one.verdict)
    };
    assert_eq!(embedding(&a, &b), Some(Verdict::Drift));
    for member in &mut b {
        let observation = member.observation.as_mut().unwrap();
        observation.model = Some(ModelIdentity { sha256: "cd".into(), ..ModelIdentity::default() });
    }
    assert_eq!(embedding(&a, &b), None);
}

#[test]
fn the_scans_that_lie_apart_carry_what_only_a_network_sees() {
    let mut drawn = Drawn(17);
    let reference = reference(&mut drawn);
    let mut members = window(&mut drawn, 25, |_| ());
    members.extend(window(&mut drawn, 15, |seen| seen.texture = 3.0));
    for (place, member) in members.iter_mut().enumerate() {
        member.scan_id = place.to_string();
    }
    let carried = carriers::carriers(&members, &reference, &[EMBEDDING.to_owned()]);
    let apart = |scan: &carriers::Carrier| scan.scan_id.parse::<usize>().unwrap() >= 25;
    let first = carried[..15].iter().filter(|scan| apart(scan)).count();
    assert!(first >= 13, "{first} of 15");
    let all: f64 = carried.iter().map(|scan| scan.contribution).sum();
    assert!((all - 1.0).abs() < 1e-12 && carried[0].values[EMBEDDING] > 0.0, "{:?}", carried[0]);
}
