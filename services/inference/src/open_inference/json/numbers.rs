use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};

const UNEVEN: &str = "lists of one dimension hold as many each";

/// A tensor's numbers in their order, whether they came flat or nested by dimension. Straight into one list: as values of
/// JSON they would take ten times the room.
pub struct Numbers {
    pub values: Vec<f32>,
    /// How many a list of each dimension holds, from the outermost in; a single one where they came flat.
    pub lengths: Vec<usize>,
}

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Numbers, D::Error> {
        let mut nested = Nested::default();
        Append { to: &mut nested, depth: 0 }.deserialize(deserializer)?;
        let Nested { values, lengths, .. } = nested;
        Ok(Numbers { values, lengths: lengths.into_iter().flatten().collect() })
    }
}

/// What has been read.
#[derive(Default)]
struct Nested {
    values: Vec<f32>,
    /// By depth; None while no list of that depth has ended.
    lengths: Vec<Option<usize>>,
    /// How deep numbers lie.
    depth: Option<usize>,
}

impl Nested {
    fn number<E: Error>(&mut self, number: f32, depth: usize) -> Result<(), E> {
        if *self.depth.get_or_insert(depth) != depth {
            return Err(E::custom(UNEVEN));
        }
        self.values.push(number);
        Ok(())
    }

    fn list<E: Error>(&mut self, length: usize, depth: usize) -> Result<(), E> {
        if self.lengths.len() <= depth {
            self.lengths.resize(depth + 1, None);
        }
        if *self.lengths[depth].get_or_insert(length) != length {
            return Err(E::custom(UNEVEN));
        }
        Ok(())
    }
}

/// Appends what lies so deep.
struct Append<'a> {
    to: &'a mut Nested,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Append<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Append<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("numbers, flat or nested by dimension")
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.to.number(number as f32, self.depth)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.to.number(number as f32, self.depth)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.to.number(number as f32, self.depth)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut numbers: A) -> Result<(), A::Error> {
        let Append { to, depth } = self;
        let mut length = 0;
        while numbers.next_element_seed(Append { to: &mut *to, depth: depth + 1 })?.is_some() {
            length += 1;
        }
        to.list(length, depth)
    }
}
