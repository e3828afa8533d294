//! Whether an image and its mask lie in one place.

use imaging::{Geometry, Volume};

use super::says_which_way;

/// The part of a voxel by which grids may differ: what rounding in headers comes to, and less than anybody draws.
const APART_MAX: f64 = 0.25;
/// The part by which lengths of voxels may differ.
const STRETCHED_MAX: f64 = 0.01;

/// How the grids of an image and its mask, which have one shape, differ in words; nothing where either says too little.
pub fn differ(image: &Volume, mask: &Volume) -> Option<String> {
    // It was turned, and its image was not: one may be the other's mirror image.
    if says_which_way(mask) && !says_which_way(image) {
        return Some("it says which way the patient lies, and its image does not".to_owned());
    }
    let (own, other) = (image.geometry?, mask.geometry?);
    if let (Some(own), Some(other)) = (own.in_patient(), other.in_patient()) {
        let apart_mm = apart_mm(image, own, other);
        let [_, row_mm, column_mm] = own.spacing();
        return (apart_mm > APART_MAX * row_mm.min(column_mm))
            .then(|| format!("it lies {apart_mm:.1} mm away from its image"));
    }
    // The thickness of a single slice is often not told.
    let mut lengths = own.spacing().into_iter().zip(other.spacing()).skip(1);
    let stretched = |(own, other): &(f64, f64)| (own - other).abs() > STRETCHED_MAX * own;
    lengths.any(|pair| stretched(&pair)).then(|| {
        let of = |geometry: Geometry| {
            let [_, row_mm, column_mm] = geometry.spacing();
            format!("{row_mm} x {column_mm} mm")
        };
        format!("its pixels have {}, those of its image {}", of(other), of(own))
    })
}

/// How far a corner lies from where the other grid has it, at most.
fn apart_mm(image: &Volume, own: &Geometry, other: &Geometry) -> f64 {
    let last = image.shape.lengths().map(|length| length.saturating_sub(1) as f64);
    let corners = (0..8).map(|corner| {
        let [slice, row, column] =
            std::array::from_fn(|axis| if corner >> axis & 1 == 1 { last[axis] } else { 0.0 });
        let [a, b] = [own, other].map(|grid| grid.position(slice, row, column));
        a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
    });
    corners.fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use imaging::phantom::{Phantom, Settings};

    use super::*;

    #[test]
    fn a_mask_that_lies_elsewhere_or_is_stretched_is_told_from_one_that_fits() {
        let image = Phantom::new(&Settings::slice(1)).unwrap().volume;
        let with = |change: fn(&mut Geometry)| {
            let mut mask = image.clone();
            change(mask.geometry.as_mut().unwrap());
            differ(&image, &mask)
        };
        assert_eq!(with(|_| {}), None);
        assert_eq!(with(|grid| grid.origin[0] += 0.1), None, "rounding");
        let moved = with(|grid| grid.origin[1] += 5.0).unwrap();
        assert_eq!(moved, "it lies 5.0 mm away from its image");
        assert!(with(|grid| grid.column_step[0] = 1.0).unwrap().contains("mm away"));
        let stretched = with(|grid| {
            *grid = Geometry::of_distances([5.0, 2.0, 0.9375]);
        });
        assert!(stretched.unwrap().contains("its pixels have 2 x 0.9375 mm"));
        let nowhere = Volume { geometry: None, ..image.clone() };
        assert_eq!(differ(&image, &nowhere), None);
        assert_eq!(differ(&nowhere, &nowhere), None);
        assert!(differ(&nowhere, &image).unwrap().contains("which way the patient lies"));
    }
}
