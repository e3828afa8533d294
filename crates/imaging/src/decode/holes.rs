//! What cannot be read though its name says that it is a slice among others: left out, it would leave a hole.

use crate::names::series;

/// A file without a known content that is one of a series by its name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Hole {
    pub place: usize,
    /// The place of a slice of that series.
    pub slice: usize,
    /// Which of them it would be, from 1, and of how many.
    pub number: usize,
    pub of: usize,
}

/// All such files among `names`. `is_slice` says of each of `names` whether it was known as a slice, `is_picture` whether as a picture that is not
/// read; all others are of no known content, and their names must end as that of a slice.
pub(super) fn holes(names: &[&str], is_slice: &[bool], is_picture: &[bool]) -> Vec<Hole> {
    if is_slice.iter().all(|known| *known) {
        return Vec::new();
    }
    let places = 0..names.len();
    let slices = places.clone().filter(|place| is_slice[*place]);
    let kinds: Vec<&str> = slices.map(|place| extension(names[place])).collect();
    let ends_alike =
        |place: usize| kinds.iter().any(|kind| kind.eq_ignore_ascii_case(extension(names[place])));
    let places: Vec<usize> =
        places.filter(|place| is_picture[*place] || ends_alike(*place)).collect();
    let candidates: Vec<&str> = places.iter().map(|place| names[*place]).collect();
    let of_run = |run: Vec<usize>| {
        let run: Vec<usize> = run.into_iter().map(|at| places[at]).collect();
        let (slice, of) = (run.iter().copied().find(|place| is_slice[*place]), run.len());
        let missing = (1..).zip(run).filter(|(_, place)| !is_slice[*place]);
        let hole = |(number, place)| Some(Hole { place, slice: slice?, number, of });
        missing.filter_map(hole).collect::<Vec<_>>()
    };
    series(&candidates).into_iter().flat_map(of_run).collect()
}

/// Behind the last dot of a file's name; none where it is a number, as in file names that are UIDs.
fn extension(name: &str) -> &str {
    let file = name.rsplit(['/', '\\']).next().unwrap_or_default();
    match file.rsplit_once('.') {
        Some((stem, end)) if !stem.is_empty() && !end.bytes().all(|b| b.is_ascii_digit()) => end,
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_missed_where_its_name_counts_it_among_the_slices() {
        let found = |names: &[&str], unknown: usize| {
            let is_slice: Vec<bool> = (0..names.len()).map(|at| at != unknown).collect();
            let found = holes(names, &is_slice, &vec![false; names.len()]);
            found.iter().map(|hole| (hole.place, hole.slice)).collect::<Vec<_>>()
        };
        assert_eq!(found(&["a0", "a1", "a2"], 2), [(2, 0)]);
        assert_eq!(found(&["p/1.png", "p/2.PNG", "p/3.png"], 1), [(1, 0)]);
        assert_eq!(found(&["1.2.840.5", "1.2.840.6", "1.2.840.7"], 0), [(0, 1)]);
        for beside in ["README", "slice_3.json", "q/9.txt", "VERSION.png.txt"] {
            assert_eq!(found(&["slice_1.png", "slice_2.png", beside], 2), [], "{beside}");
        }
    }
}
