//! Bends sound bytes, without looking at what is done with them: what libFuzzer does with nightly Rust, as far as that goes with stable.

/// Numbers that are all alike for one seed (a linear congruential generator: Knuth, TAOCP 2, 3.3.4).
pub struct Random(pub u64);

impl Random {
    /// Below `bound`, which is above 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// What lengths and counts break at.
const EDGES: [u32; 9] = [0, 1, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0x8000_0000, u32::MAX];
/// Beyond so many bytes, inputs cost more than they find.
const BYTES_MAX: usize = 1 << 20;
/// Where headers are, which is where most is decided.
const HEAD: usize = 700;

/// One of the corpus, bent a few times.
pub fn mutated(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(6) {
        bend(&mut bytes, corpus, random);
    }
    bytes.truncate(BYTES_MAX);
    bytes
}

fn bend(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) {
    if bytes.is_empty() {
        bytes.push(random.below(256) as u8);
    }
    let reach = if random.below(3) == 0 { bytes.len() } else { bytes.len().min(HEAD) };
    let at = random.below(reach);
    let length = 1 + random.below((bytes.len() - at).min(64));
    match random.below(8) {
        0 | 1 => bytes[at] ^= 1 << random.below(8),
        2 => bytes[at] = random.below(256) as u8,
        3 => write_edge(bytes, at, random),
        4 => drop(bytes.drain(at..at + length)),
        5 => {
            let again = bytes[at..at + length].to_vec();
            drop(bytes.splice(at..at, again));
        }
        6 => {
            let other = &corpus[random.below(corpus.len())];
            let from = random.below(other.len().max(1)).min(other.len());
            let piece = other[from..other.len().min(from + length)].to_vec();
            drop(bytes.splice(at..at, piece));
        }
        _ => bytes.truncate(at),
    }
}

/// Writes a number that something breaks at, of one, two or four bytes, in either order.
fn write_edge(bytes: &mut [u8], at: usize, random: &mut Random) {
    let edge = EDGES[random.below(EDGES.len())];
    let edge = if random.below(2) == 0 { edge.to_le_bytes() } else { edge.to_be_bytes() };
    let width = [1_usize, 2, 4][random.below(3)].min(bytes.len() - at);
    bytes[at..at + width].copy_from_slice(&edge[..width]);
}
