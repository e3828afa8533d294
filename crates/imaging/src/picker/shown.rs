use std::ops::Range;

use domain::{ErrorKind, Result};

use crate::{Framed, Prepared, Preprocessing, Volume};

/// So many slices of a series are shown to a model that is asked what it looks like.
const SHOWN: usize = 7;

/// Which of a series of so many slices are shown to a model that is asked what it looks like: a few from the middle, where a head is widest.
pub fn middle(slices: usize) -> Range<usize> {
    let shown = slices.min(SHOWN);
    let first = (slices - shown) / 2;
    first..first + shown
}

/// Those slices as tiles of `side` pixels. The outermost of several are there as neighbours only.
///
/// `Invalid` where there is no slice, there are more than are shown, or a value is not finite.
pub fn shown_tiles(
    shown: &Volume,
    preprocessing: Preprocessing,
    side: usize,
) -> Result<Vec<Prepared>> {
    let slices = shown.shape.slices;
    if slices > SHOWN {
        let message = format!("{slices} slices are shown where {SHOWN} are enough");
        return Err(ErrorKind::Invalid.error(message));
    }
    let framed = Framed::new(shown, preprocessing)?;
    let inner = if slices > 2 { 1..slices - 1 } else { 0..slices };
    inner.map(|slice| framed.slice(slice, side)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Shape;
    use crate::phantom::{Phantom, Settings};

    #[test]
    fn a_few_slices_from_the_middle_are_shown_each_with_its_neighbours() {
        assert_eq!(
            [0, 1, 3, 7, 8, 24, 25].map(middle),
            [0..0, 0..1, 0..3, 0..7, 0..7, 8..15, 9..16]
        );
        let tiles = |slices| {
            let shape = Shape { slices, rows: 64, columns: 64 };
            let settings =
                Settings { shape, spacing: [6.0, 3.6, 3.6], tumour: false, ..Settings::slice(2) };
            let volume = Phantom::new(&settings).unwrap().volume;
            shown_tiles(&volume, Preprocessing::NEWEST, 64)
        };
        let seven = tiles(7).unwrap();
        assert_eq!(seven.len(), 5);
        assert!(seven.iter().all(|tile| tile.neighbours.iter().all(Option::is_some)));
        assert_eq!([1, 2, 3].map(|slices| tiles(slices).unwrap().len()), [1, 2, 1]);
        assert!(tiles(8).is_err());
    }
}
