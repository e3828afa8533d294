//! Labelled slices, as a data set of somebody's own comes: phantoms of the program, and masks with their truth.

use imaging::phantom::{Phantom, Settings};
use imaging::{Volume, slice_png};

use crate::place::Place;

/// Where the manifest lies.
pub const MANIFEST: &str = "labelled/manifest.csv";

impl Place {
    /// Makes that many patients with a volume of two slices each, all with a tumour.
    pub fn label(&self, patients: u64) {
        let mut lines = "patient,slice,image,mask\n".to_owned();
        for seed in 0..2 * patients {
            let image = format!("labelled/{seed}.png");
            self.medseg(&format!("phantom --seed {seed} --out {image}")).good();
            let Phantom { volume, truth, .. } = Phantom::new(&Settings::slice(seed)).unwrap();
            let voxels = truth.into_iter().map(f32::from).collect();
            let mask = Volume { voxels, window: [0.0, 1.0], ..volume };
            self.write(&format!("labelled/{seed}_mask.png"), slice_png(&mask, 0).unwrap());
            lines += &format!("p{},{},{seed}.png,{seed}_mask.png\n", seed / 2, seed % 2 + 1);
        }
        self.write(MANIFEST, lines);
    }
}
