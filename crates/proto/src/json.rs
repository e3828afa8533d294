//! How a message reads JSON where the generated code alone would refuse what writers have written.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

/// Numbers by name, without those that are `null`, which is how JSON says infinite or undefined.
pub fn numbers<'de, D>(from: D) -> Result<BTreeMap<String, f64>, D::Error>
where
    D: Deserializer<'de>,
{
    let all = BTreeMap::<String, Option<f64>>::deserialize(from)?;
    Ok(all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
}
