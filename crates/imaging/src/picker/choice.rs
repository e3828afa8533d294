use serde::{Deserialize, Deserializer, Serialize};

use super::Reason;

/// What is told of one series of a study: how well it fits the registered models, and what was made of that.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SeriesChoice {
    /// From 0 to 1.
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 1))]
    pub score: f64,
    /// Whether it is analysed without being asked for. One that is not has the answer `not_analysable` with the reason, until somebody
    /// has it analysed: `POST /v1/scans/{id}/retry`.
    pub picked: bool,
    /// What speaks for it.
    #[serde(deserialize_with = "known")]
    pub reasons: Vec<Reason>,
    /// What speaks against it.
    #[serde(deserialize_with = "known")]
    pub why_not: Vec<Reason>,
    /// Which model has told its kind by what it looks like; missing where none has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub kind_model: Option<KindModel>,
}

/// The model that has told the kind of a series.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KindModel {
    /// What it is called.
    pub name: String,
    /// Which version of it.
    pub version: String,
}

impl KindModel {
    /// Of a message, whose names are empty where there is none.
    pub fn named(name: String, version: String) -> Option<KindModel> {
        (!name.is_empty()).then_some(KindModel { name, version })
    }
}

impl SeriesChoice {
    /// Of a score in thousandths, and of the names of what speaks for the series and against it; a name that nobody knows here is of a
    /// later version, and left out.
    pub fn named(score_permille: u32, picked: bool, names: &[String]) -> SeriesChoice {
        let (reasons, why_not) = those_known(names).partition(|reason| reason.speaks_for());
        SeriesChoice {
            score: f64::from(score_permille) / 1000.0,
            picked,
            reasons,
            why_not,
            kind_model: None,
        }
    }
}

fn those_known(names: &[String]) -> impl Iterator<Item = Reason> + '_ {
    names.iter().filter_map(|name| name.parse().ok())
}

/// A document of a later version may have reasons that nobody knows here.
fn known<'de, D: Deserializer<'de>>(of: D) -> Result<Vec<Reason>, D::Error> {
    Ok(those_known(&Vec::<String>::deserialize(of)?).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_speaks_for_a_series_is_told_apart_from_what_speaks_against_it() {
        let names = ["kind_by_attributes", "derived", "of_a_later_version"].map(String::from);
        let choice = SeriesChoice::named(600, true, &names);
        let expected = (0.6, vec![Reason::KindByAttributes], vec![Reason::Derived]);
        assert_eq!((choice.score, choice.reasons.clone(), choice.why_not.clone()), expected);
        let mut written = serde_json::to_value(&choice).unwrap();
        written["why_not"].as_array_mut().unwrap().push("of_a_later_version".into());
        assert_eq!(serde_json::from_value::<SeriesChoice>(written.clone()).unwrap(), choice);
        assert_eq!(written.get("kind_model"), None, "as in documents of earlier versions");
        let kind_model = KindModel::named("m".into(), "1".into());
        let told = serde_json::to_value(SeriesChoice { kind_model, ..choice }).unwrap();
        assert_eq!(told["kind_model"], serde_json::json!({"name": "m", "version": "1"}));
        assert_eq!(KindModel::named(String::new(), "1".into()), None);
    }
}
