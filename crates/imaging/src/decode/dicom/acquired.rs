//! How slices were taken, as far as their headers say: those of one volume were taken alike, wherever they lie.

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::reader::DataSet;

/// How one slice was taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Acquired {
    /// One for each of [`MEASURES`].
    measures: [Option<f64>; 4],
    /// What ImageType says beyond original and primary: magnitude or phase, water or fat (PS3.3, C.8.3.1.1.1).
    picture: Option<String>,
}

/// What slices of one volume have in common, how it is called, its unit, and how far apart it is another one: writers
/// round, and scanners are not exact.
const MEASURES: [(&str, &str, f64); 4] = [
    ("echo times", " ms", 0.1),
    ("echo numbers", "", 0.0),
    ("b-values", " s/mm²", 0.1),
    ("temporal positions", "", 0.0),
];

impl Acquired {
    /// What a file of one frame says.
    pub fn of_image(set: &DataSet) -> Acquired {
        let first = |tag: Tag| set.decimals(tag)?.first().copied();
        let measures = [
            first(tags::ECHO_TIME),
            first(tags::ECHO_NUMBERS),
            set.double(tags::DIFFUSION_B_VALUE),
            first(tags::TEMPORAL_POSITION_IDENTIFIER),
        ];
        Acquired { measures, picture: set.text(tags::IMAGE_TYPE).and_then(|all| picture(&all)) }
    }

    /// What one frame of an enhanced file says: its own functional groups (PS3.3, C.8.13.5), else the shared ones.
    pub fn of_frame(own: &DataSet, shared: &DataSet) -> Acquired {
        // One that cannot be read is as good as none: where the frame lies is told elsewhere.
        let first = |group: Tag| {
            let mut items = [own, shared].into_iter().filter_map(|set| set.items(group).ok());
            items.find_map(|items| items.into_iter().next())
        };
        let double = |group: Tag, tag: Tag| first(group)?.double(tag);
        let echo = double(tags::MR_ECHO_SEQUENCE, tags::EFFECTIVE_ECHO_TIME);
        let b_value = double(tags::MR_DIFFUSION_SEQUENCE, tags::DIFFUSION_B_VALUE);
        let frame_type = first(tags::MR_IMAGE_FRAME_TYPE_SEQUENCE);
        let frame_type = frame_type.and_then(|item| item.text(tags::FRAME_TYPE));
        let picture = frame_type.and_then(|all| picture(&all));
        Acquired { measures: [echo, None, b_value, None], picture }
    }
}

/// All values but the first two.
fn picture(image_type: &str) -> Option<String> {
    let values: Vec<&str> = image_type.split('\\').skip(2).map(str::trim).collect();
    (!values.is_empty()).then(|| values.join("\\"))
}

/// The first two slices that were not taken alike, and what differs, as a sentence goes on behind their names. One that
/// says nothing differs from none.
pub(super) fn difference(slices: &[&Acquired]) -> Option<([usize; 2], String)> {
    for (index, (name, unit, alike)) in MEASURES.into_iter().enumerate() {
        let said = (0..).zip(slices).filter_map(|(at, slice)| Some((at, slice.measures[index]?)));
        let said: Vec<(usize, f64)> = said.collect();
        let by_value = |a: &&(usize, f64), b: &&(usize, f64)| a.1.total_cmp(&b.1);
        let (low, high) = (said.iter().min_by(by_value), said.iter().rev().max_by(by_value));
        let Some((low, high)) = low.zip(high) else { continue };
        if high.1 - low.1 > alike * high.1.abs() {
            let [one, other] = if low.0 < high.0 { [low, high] } else { [high, low] };
            let what = format!("have different {name} ({} and {}{unit})", one.1, other.1);
            return Some(([one.0, other.0], what));
        }
    }
    let mut said = (0..).zip(slices).filter_map(|(at, slice)| Some((at, slice.picture.as_ref()?)));
    let (one, first) = said.next()?;
    let (other, _) = said.find(|(_, picture)| *picture != first)?;
    Some(([one, other], "are of different kinds, as their ImageType says".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echo(ms: f64) -> Acquired {
        Acquired { measures: [Some(ms), None, None, None], picture: None }
    }

    fn differ(slices: &[Acquired]) -> Option<String> {
        difference(&slices.iter().collect::<Vec<_>>())
            .map(|([one, other], what)| format!("{one} and {other} {what}"))
    }

    #[test]
    fn two_echoes_two_b_values_and_two_kinds_differ_and_rounding_does_not() {
        let kind = |kind: &str| Acquired { picture: picture(kind), ..Acquired::default() };
        let b_value = |b: f64| Acquired { measures: [None, None, Some(b), None], picture: None };
        let time = |time: f64| Acquired { measures: [None, None, None, Some(time)], picture: None };
        let nothing = Acquired::default();
        let cases: [(&[Acquired], Option<&str>); 12] = [
            (&[echo(85.0), echo(85.2), nothing.clone(), echo(84.9)], None),
            (
                &[echo(90.0), nothing.clone(), echo(10.0)],
                Some("0 and 2 have different echo times (90 and 10 ms)"),
            ),
            // Each is near the next one.
            (
                &[echo(40.0), echo(42.0), echo(44.0), echo(46.0)],
                Some("0 and 3 have different echo times (40 and 46 ms)"),
            ),
            (&[echo(0.0), echo(0.0)], None),
            (&[b_value(1000.0), b_value(1005.0)], None),
            (
                &[b_value(0.0), b_value(1000.0)],
                Some("0 and 1 have different b-values (0 and 1000 s/mm²)"),
            ),
            (
                &[time(1.0), time(1.0), time(2.0)],
                Some("0 and 2 have different temporal positions (1 and 2)"),
            ),
            (&[kind("ORIGINAL\\PRIMARY\\M\\ND"), kind("DERIVED\\PRIMARY\\M\\ND")], None),
            (&[kind("ORIGINAL\\PRIMARY\\M\\ND"), kind("ORIGINAL\\PRIMARY")], None),
            (
                &[kind("ORIGINAL\\PRIMARY\\M\\ND"), kind("ORIGINAL\\PRIMARY\\P\\ND")],
                Some("0 and 1 are of different kinds, as their ImageType says"),
            ),
            (&[nothing.clone(), nothing], None),
            (&[], None),
        ];
        for (slices, what) in cases {
            assert_eq!(differ(slices).as_deref(), what, "{slices:?}");
        }
    }
}
