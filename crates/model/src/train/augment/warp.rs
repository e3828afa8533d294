use rand::{Rng, RngExt};

use super::Draw;

/// A change of place: rotation, zoom, mirror, shift, and a soft wave. In sides from the centre.
pub struct Warp {
    matrix: [[f32; 2]; 2],
    shift: [f32; 2],
    waves: [Wave; 2],
}

#[derive(Clone, Copy, Default)]
struct Wave {
    height: f32,
    along: [f32; 2],
    phase: f32,
}

impl Default for Warp {
    fn default() -> Warp {
        Warp { matrix: [[1.0, 0.0], [0.0, 1.0]], shift: [0.0; 2], waves: [Wave::default(); 2] }
    }
}

impl Warp {
    pub fn draw(draw: &mut Draw<impl Rng>) -> Warp {
        let (sin, cos) = draw.around(0.4).sin_cos();
        let (zoom, stretch) = (draw.around(0.25).exp(), draw.around(0.08).exp());
        let (upside, mirror) = (draw.sign(0.1), draw.sign(0.5));
        let (down, across) = (upside * zoom * stretch, mirror * zoom / stretch);
        Warp {
            matrix: [[cos * down, -sin * across], [sin * down, cos * across]],
            shift: [draw.around(0.07), draw.around(0.07)],
            waves: [Wave::draw(draw), Wave::draw(draw)],
        }
    }

    /// Where `fine` times `fine` places, `step` apart around a pixel's centre, come from, seen from where that does.
    pub fn within(&self, fine: usize, step: f32) -> Vec<(f32, f32)> {
        let [[yy, yx], [xy, xx]] = self.matrix;
        let place = |at: usize| (at as f32 - (fine as f32 - 1.0) / 2.0) * step;
        let places = (0..fine * fine).map(|at| (place(at / fine), place(at % fine)));
        places.map(|(y, x)| (yy * y + yx * x, xy * y + xx * x)).collect()
    }

    pub fn source(&self, y: f32, x: f32) -> (f32, f32) {
        let [[yy, yx], [xy, xx]] = self.matrix;
        let [down, across] = self.waves.map(|wave| wave.at(y, x));
        (yy * y + yx * x + self.shift[0] + down, xy * y + xx * x + self.shift[1] + across)
    }
}

impl Wave {
    pub fn draw(draw: &mut Draw<impl Rng>) -> Wave {
        Wave {
            height: draw.up_to(0.02),
            along: [draw.random.random_range(-12.0..12.0), draw.random.random_range(-12.0..12.0)],
            phase: draw.random.random_range(0.0..std::f32::consts::TAU),
        }
    }

    fn at(&self, y: f32, x: f32) -> f32 {
        if self.height == 0.0 {
            return 0.0;
        }
        self.height * (self.along[0] * y + self.along[1] * x + self.phase).sin()
    }
}
