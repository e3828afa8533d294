//! The solids that are measured, and the files that they come in.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use imaging::encode::{Series, dicom, nifti_gz};
use imaging::phantom::{Solid, SolidSettings};
use imaging::{Laterality, Plane, Shape, Volume};

/// One solid, by one door and in one storage order.
pub struct Case {
    pub name: &'static str,
    door: Door,
    /// Where columns, rows and slices of the file lead.
    order: &'static str,
    settings: SolidSettings,
    /// The patient's side that it lies on; None where the head is not seen from side to side.
    pub side: Option<Laterality>,
}

#[derive(Clone, Copy)]
enum Door {
    Nifti,
    /// A series, with slices of that part of their distance.
    Dicom {
        thickness: f64,
    },
}

const NIFTI: Door = Door::Nifti;
/// Slices touch each other.
const DICOM: Door = Door::Dicom { thickness: 1.0 };
/// A third of the way from slice to slice is seen by none.
const DICOM_WITH_GAPS: Door = Door::Dicom { thickness: 2.0 / 3.0 };

const SPHERE: SolidSettings = SolidSettings {
    plane: Plane::Axial,
    shape: Shape { slices: 16, rows: 72, columns: 72 },
    spacing: [5.0, 3.0, 3.0],
    oblique_degrees: [0.0; 3],
    tilt_degrees: 0.0,
    radii_mm: [30.0; 3],
    turned_degrees: [0.0; 3],
    near: [8.0, 30.0, 46.0],
};
const ELLIPSOID: SolidSettings = SolidSettings {
    radii_mm: [36.0, 27.0, 30.0],
    turned_degrees: [20.0, -15.0, 35.0],
    near: [8.0, 30.0, 44.0],
    ..SPHERE
};
const ANISOTROPIC: SolidSettings = SolidSettings {
    shape: Shape { slices: 16, rows: 90, columns: 72 },
    spacing: [5.0, 2.4, 3.0],
    radii_mm: [30.0, 36.0, 30.0],
    turned_degrees: [0.0, 0.0, 25.0],
    near: [7.0, 40.0, 44.0],
    ..SPHERE
};
const ISOTROPIC: SolidSettings = SolidSettings {
    shape: Shape { slices: 26, rows: 72, columns: 72 },
    spacing: [3.0; 3],
    radii_mm: [33.0, 27.0, 30.0],
    turned_degrees: [10.0, 20.0, 30.0],
    near: [12.0, 30.0, 44.0],
    ..SPHERE
};
const OBLIQUE: SolidSettings = SolidSettings { oblique_degrees: [17.0, -9.0, 12.0], ..ELLIPSOID };
const TILTED: SolidSettings = SolidSettings {
    tilt_degrees: 14.0,
    radii_mm: [33.0, 27.0, 30.0],
    turned_degrees: [0.0, 0.0, 20.0],
    ..ELLIPSOID
};
const CORONAL: SolidSettings = SolidSettings {
    plane: Plane::Coronal,
    radii_mm: [36.0, 30.0, 27.0],
    turned_degrees: [0.0; 3],
    near: [8.0, 40.0, 44.0],
    ..SPHERE
};
const SAGITTAL: SolidSettings = SolidSettings {
    plane: Plane::Sagittal,
    radii_mm: [30.0, 36.0, 27.0],
    turned_degrees: [0.0, 0.0, 15.0],
    near: [7.0, 40.0, 44.0],
    ..SPHERE
};
const GAPS: SolidSettings = SolidSettings {
    spacing: [6.0, 3.0, 3.0],
    radii_mm: [36.0, 27.0, 36.0],
    turned_degrees: [0.0, 0.0, 40.0],
    near: [8.0, 30.0, 44.0],
    ..SPHERE
};

/// All that a whole certificate measures.
pub static ALL: [Case; 16] = [
    Case::left("sphere-nifti", NIFTI, "LPS", SPHERE),
    Case::left("sphere-dicom", DICOM, "LPS", SPHERE),
    Case::left("ellipsoid-nifti", NIFTI, "LPS", ELLIPSOID),
    Case::left("ellipsoid-flipped-nifti", NIFTI, "RAS", ELLIPSOID),
    Case::left("ellipsoid-mirrored-nifti", NIFTI, "RPS", ELLIPSOID),
    Case::left("ellipsoid-reversed-nifti", NIFTI, "LPI", ELLIPSOID),
    Case::left("ellipsoid-exchanged-nifti", NIFTI, "SRA", ELLIPSOID),
    Case::left("ellipsoid-reversed-dicom", DICOM, "LPI", ELLIPSOID),
    Case::left("anisotropic-nifti", NIFTI, "LPS", ANISOTROPIC),
    Case::left("isotropic-nifti", NIFTI, "RAS", ISOTROPIC),
    Case::left("oblique-nifti", NIFTI, "LAS", OBLIQUE),
    Case::left("oblique-dicom", DICOM, "LPS", OBLIQUE),
    Case::left("tilted-dicom", DICOM, "LPS", TILTED),
    Case::left("coronal-dicom", DICOM, "LIP", CORONAL),
    Case { side: None, ..Case::left("sagittal-nifti", NIFTI, "RAS", SAGITTAL) },
    Case::left("gaps-dicom", DICOM_WITH_GAPS, "LPS", GAPS),
];

impl Case {
    const fn left(
        name: &'static str,
        door: Door,
        order: &'static str,
        settings: SolidSettings,
    ) -> Case {
        Case { name, door, order, settings, side: Some(Laterality::Left) }
    }

    /// Its solid.
    pub fn solid(&self) -> anyhow::Result<Solid> {
        Solid::new(&self.settings)
            .with_context(|| format!("the phantom {} cannot be made", self.name))
    }

    /// Slices, rows and columns of the pictures.
    pub fn shape(&self) -> Shape {
        self.settings.shape
    }

    /// Millimetres between slices, rows and columns of the pictures.
    pub fn spacing(&self) -> [f64; 3] {
        self.settings.spacing
    }

    /// How it comes in, in words.
    pub fn door(&self) -> String {
        let form = match self.door {
            Door::Nifti => "NIfTI",
            Door::Dicom { .. } => "DICOM series",
        };
        format!("{form}, {}", self.order)
    }

    /// Writes its file, or the folder of its series, and says where that is.
    pub fn write(&self, number: u64, folder: &Path) -> anyhow::Result<PathBuf> {
        let volume = self.solid()?.volume().stored_as(self.order);
        let volume = volume.with_context(|| format!("{} is no storage order", self.order))?;
        match self.door {
            Door::Nifti => {
                let bytes = nifti_gz(&volume.voxels, volume.shape, volume.geometry.as_ref())?;
                saved(folder.join(format!("{}.nii.gz", self.name)), &bytes)
            }
            Door::Dicom { thickness } => {
                let thickness_mm = thickness * self.settings.spacing[0];
                let series = Series::of_seed(number).with_thickness(thickness_mm);
                written(&volume, &series, &folder.join(self.name))
            }
        }
    }
}

fn written(volume: &Volume, series: &Series, folder: &Path) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    for slice in 0..volume.shape.slices {
        let bytes = dicom(volume, series, slice)?;
        saved(folder.join(format!("image-{:03}.dcm", slice + 1)), &bytes)?;
    }
    Ok(folder.to_owned())
}

fn saved(path: PathBuf, bytes: &[u8]) -> anyhow::Result<PathBuf> {
    fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use imaging::{Limits, decode};

    use super::*;

    #[test]
    fn each_case_can_be_made_and_has_a_name_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let mut names: Vec<&str> = ALL.iter().map(|case| case.name).collect();
        for (number, case) in (0..).zip(&ALL) {
            let solid = case.solid().unwrap();
            let path = case.write(number, folder.path()).unwrap();
            if path.is_dir() {
                let slices = fs::read_dir(&path).unwrap().count();
                let stored = solid.volume().stored_as(case.order).unwrap();
                assert_eq!(slices, stored.shape.slices, "{}", case.name);
            } else {
                let decoded = decode(&fs::read(&path).unwrap(), &Limits::default()).unwrap();
                assert!(decoded.volume.voxels == solid.volume().voxels, "{}", case.name);
            }
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }
}
