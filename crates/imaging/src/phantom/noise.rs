//! Randomness over space: the same place always gives the same value.

/// Smooth noise in -1..1 with a feature about every unit of length, different for each `salt`.
pub(super) fn smooth(at: [f32; 3], salt: u32) -> f32 {
    let base = at.map(f32::floor);
    let corner = base.map(|part| part as i32);
    let [x, y, z] = [0, 1, 2].map(|axis| fade(at[axis] - base[axis]));
    let lattice = |dx, dy, dz| hashed([corner[0] + dx, corner[1] + dy, corner[2] + dz], salt);
    let along_x = |dy, dz| mix(lattice(0, dy, dz), lattice(1, dy, dz), x);
    mix(mix(along_x(0, 0), along_x(1, 0), y), mix(along_x(0, 1), along_x(1, 1), y), z)
}

/// The magnitude of a signal with Gaussian noise in both channels: what a scanner shows.
/// `bits` is the randomness of this voxel.
pub(super) fn rician(signal: f32, sigma: f32, bits: u64) -> f32 {
    // Four bytes summed are near enough to Gaussian: mean 510, deviation 148.
    let gaussian = |bits: u32| {
        let sum: u32 = bits.to_le_bytes().into_iter().map(u32::from).sum();
        (sum as f32 - 510.0) / 147.8
    };
    let real = signal + sigma * gaussian(bits as u32);
    real.hypot(sigma * gaussian((bits >> 32) as u32))
}

/// 0 below `low`, 1 above `high`, smooth in between.
pub(super) fn step(low: f32, high: f32, value: f32) -> f32 {
    fade(((value - low) / (high - low)).clamp(0.0, 1.0))
}

pub(super) fn mix(from: f32, to: f32, share: f32) -> f32 {
    from + share * (to - from)
}

fn fade(t: f32) -> f32 {
    t * t * (3.0 - 2.0 * t)
}

fn hashed(corner: [i32; 3], salt: u32) -> f32 {
    let [x, y, z] = corner.map(|part| part as u32);
    let mut hash = salt
        ^ x.wrapping_mul(0x9e37_79b1)
        ^ y.wrapping_mul(0x85eb_ca77)
        ^ z.wrapping_mul(0xc2b2_ae3d);
    hash = (hash ^ (hash >> 15)).wrapping_mul(0x2c1b_3c6d);
    hash = (hash ^ (hash >> 12)).wrapping_mul(0x297a_2d39);
    hash ^= hash >> 15;
    hash as f32 * (2.0 / u32::MAX as f32) - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_bounded_smooth_and_not_flat() {
        let values: Vec<f32> = (0..4000).map(|i| smooth([i as f32 * 0.01, 0.3, -7.2], 5)).collect();
        assert!(values.iter().all(|v| v.abs() <= 1.0));
        assert!(values.windows(2).all(|pair| (pair[0] - pair[1]).abs() < 0.05));
        assert!(values.iter().any(|v| *v > 0.3) && values.iter().any(|v| *v < -0.3));
    }

    #[test]
    fn without_noise_the_signal_is_kept() {
        assert_eq!(rician(0.4, 0.0, 0x1234_5678_9abc_def0), 0.4);
    }
}
