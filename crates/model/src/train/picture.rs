use rand::Rng;

use super::variation::{Place, Variation};

/// A slice that is about to be shown, somehow varied.
#[derive(Clone, Debug)]
pub struct Picture {
    /// The slice before, itself, the one after: places in the pool.
    pub slices: [i64; 3],
    pub variation: Variation,
    /// Another patient's slices whose tumour is pasted in, and where to.
    pub pasted: Option<([i64; 3], Place)>,
}

impl Picture {
    /// Of the middle one of those three slices of the pool.
    pub fn new(slices: [i64; 3], variation: Variation) -> Picture {
        Picture { slices, variation, pasted: None }
    }

    /// The same with the tumour of those slices in a random place.
    pub fn with(self, slices: [i64; 3], random: &mut impl Rng) -> Picture {
        Picture { pasted: Some((slices, Place::elsewhere(random))), ..self }
    }
}
