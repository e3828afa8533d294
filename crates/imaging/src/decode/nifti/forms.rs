//! Where the sform and the qform of a NIfTI file put its voxels, and whether they agree.

use crate::decode::{MILLIMETRES_MAX, SHEAR_MAX_DEGREES};
use crate::volume::{cross, dot, length};
use crate::{Geometry, Known, Refusal, RefusalReason};

/// How far sizes may lie apart that are one and the same: the header has single precision, writers round.
const SIZES_AGREE: f64 = 0.01;
/// How far an sform and a qform of one space may turn and move the patient against each other: far more than rounding
/// does, and less than a reader would see.
const TURNED_MAX_DEGREES: f64 = 5.0;
const MOVED_MAX_MM: f64 = 5.0;
/// The same for forms of two spaces, the scanner's and an atlas's: heads lie askew by less, and an axis that is turned
/// round or exchanged is turned by 90 degrees and more. How far apart two spaces are means nothing.
const ASKEW_MAX_DEGREES: f64 = 60.0;

/// An affine of NIfTI's as a geometry, if voxels can lie so.
pub(super) fn placed(affine: [[f64; 4]; 3], unit: f64) -> Result<Geometry, Refusal> {
    let column = |index: usize| -> [f64; 3] {
        let ras = |axis: usize| affine[axis][index] * unit;
        [-ras(0), -ras(1), ras(2)]
    };
    let geometry = Geometry {
        origin: column(3),
        slice_step: column(2),
        row_step: column(1),
        column_step: column(0),
        known: Known::Place,
    };
    let volume = geometry.voxel_mm3();
    let sound =
        geometry.origin.iter().all(|mm| mm.is_finite()) && volume.is_finite() && volume > 1e-9;
    if !sound || geometry.spacing().iter().any(|mm| *mm > MILLIMETRES_MAX) {
        return Err(RefusalReason::UnknownOrientation
            .refuse("The NIfTI file's position in the patient is impossible."));
    }
    let sheared = shear(&geometry);
    if sheared > SHEAR_MAX_DEGREES {
        return Err(RefusalReason::UnknownOrientation.refuse(format!(
            "The NIfTI file's axes are shifted against one another by {sheared:.0} degrees, more than any gantry tilts."
        )));
    }
    Ok(geometry)
}

/// How far the axes are from right angles, in degrees: what makes a box of unit sides that much flatter.
fn shear(geometry: &Geometry) -> f64 {
    let [a, b, c] = geometry.directions();
    dot(a, cross(b, c)).abs().min(1.0).acos().to_degrees()
}

/// Refuses two forms that turn the patient against each other, or put him in two places, by more than two forms of `one
/// space` (or of two) may. A qform cannot hold shear: beside a sheared sform it is turned by some part of that.
pub(super) fn forms_agree(
    sform: &Geometry,
    qform: &Geometry,
    [slice, row, column]: [f64; 3],
    one_space: bool,
) -> Result<(), Refusal> {
    let turned_max = if one_space { TURNED_MAX_DEGREES } else { ASKEW_MAX_DEGREES };
    let pairs = sform.directions().into_iter().zip(qform.directions());
    let turned = pairs.map(|(a, b)| dot(a, b).clamp(-1.0, 1.0).acos().to_degrees());
    let turned = turned.fold(0.0, f64::max);
    if turned > turned_max + shear(sform) {
        return Err(RefusalReason::ContradictoryGeometry.refuse(format!(
            "The NIfTI file's sform and its qform say different things of which side is which: an axis differs by {turned:.0} degrees."
        )));
    }
    let apart = |a: [f64; 3], b: [f64; 3]| length(std::array::from_fn(|axis| a[axis] - b[axis]));
    // A small turn moves corners or the middle, a shift moves both.
    let corners = apart(sform.origin, qform.origin);
    let middles = apart(sform.position(slice, row, column), qform.position(slice, row, column));
    let moved = corners.min(middles);
    if one_space && moved > MOVED_MAX_MM {
        return Err(RefusalReason::ContradictoryGeometry.refuse(format!(
            "The NIfTI file's sform and its qform put the patient {moved:.0} mm apart."
        )));
    }
    Ok(())
}

/// Refuses a form whose voxels have other sizes than pixdim says: one of the two is not the patient's.
pub(super) fn sizes_agree(form: &Geometry, name: &str, pixdim: [f64; 3]) -> Result<(), Refusal> {
    let [slice_mm, row_mm, column_mm] = form.spacing();
    let said = [column_mm, row_mm, slice_mm];
    // The third size of a single plane may be left out.
    let agree = |(a, b): (&f64, f64)| b == 0.0 || (a / b - 1.0).abs() <= SIZES_AGREE;
    if said.iter().zip(pixdim).all(agree) {
        return Ok(());
    }
    let words = |sizes: [f64; 3]| sizes.map(|mm| format!("{mm:.3}")).join(" x ");
    Err(RefusalReason::ContradictoryGeometry.refuse(format!(
        "The NIfTI file's {name} makes its voxels {} mm, its pixdim {} mm.",
        words(said),
        words(pixdim)
    )))
}
