//! Studies, series and instances in the DICOM JSON model (PS3.18, F), with the attributes that searches answer (PS3.18, 10.6.3).

use std::collections::BTreeSet;

use domain::ErrorKind;
use serde_json::{Map, Value, json};

use super::held::{Bytes, Item, Series, Study};
use super::query::Asked;
use crate::problem::Problem;

/// Attributes by their tags.
pub type Attributes = Map<String, Value>;

fn put(to: &mut Attributes, tag: &str, vr: &str, value: Option<impl Into<Value>>) {
    let attribute = match value.map(Into::into) {
        None => json!({ "vr": vr }),
        Some(value) => json!({ "vr": vr, "Value": [value] }),
    };
    to.insert(tag.to_owned(), attribute);
}

/// A text without padding; None: there is none.
fn said(text: Option<&String>) -> Option<String> {
    let text = text?.trim_matches(|letter: char| letter.is_whitespace() || letter == '\0');
    (!text.is_empty()).then(|| text.to_owned())
}

/// A name by its groups: as letters, as ideographs and as they sound.
fn name(name: Option<&String>) -> Option<Value> {
    let name = said(name)?;
    let groups = ["Alphabetic", "Ideographic", "Phonetic"].into_iter().zip(name.split('='));
    let groups = groups.filter(|(_, group)| !group.is_empty());
    let groups: Attributes =
        groups.map(|(called, group)| (called.to_owned(), Value::from(group))).collect();
    (!groups.is_empty()).then_some(Value::Object(groups))
}

/// A number where it is one.
fn number(text: Option<String>) -> Option<Value> {
    let text = said(text.as_ref())?;
    Some(text.parse::<i64>().map_or_else(|_| Value::from(text.as_str()), Value::from))
}

/// What is answered of a study. `base`: what its address begins with.
pub fn study(study: &Study, base: &str) -> Attributes {
    let mut all = Attributes::new();
    let series = study.series();
    let modalities: BTreeSet<String> = series.iter().map(Series::modality).collect();
    let instances: usize = series.iter().map(Series::count).sum();
    put(&mut all, "00080005", "CS", Some("ISO_IR 192"));
    put(&mut all, "00080056", "CS", Some("ONLINE"));
    let modalities: Vec<Value> = modalities.into_iter().map(Value::from).collect();
    all.insert("00080061".into(), json!({ "vr": "CS", "Value": modalities }));
    if let Some(newest) = study.scans.first() {
        let whose = &newest.identity;
        put(&mut all, "00080020", "DA", said(whose.study_date.as_ref()));
        put(&mut all, "00080030", "TM", said(whose.study_time.as_ref()));
        put(&mut all, "00080050", "SH", said(whose.accession_number.as_ref()));
        put(&mut all, "00080090", "PN", name(whose.referring_physician_name.as_ref()));
        put(&mut all, "00081030", "LO", said(whose.study_description.as_ref()));
        put(&mut all, "00100010", "PN", name(whose.patient_name.as_ref()));
        put(&mut all, "00100020", "LO", said(whose.patient_id.as_ref()));
        put(&mut all, "00100021", "LO", said(whose.issuer_of_patient_id.as_ref()));
        put(&mut all, "00100030", "DA", said(whose.patient_birth_date.as_ref()));
        put(&mut all, "00100040", "CS", said(whose.patient_sex.as_ref()));
        put(&mut all, "00200010", "SH", said(whose.study_id.as_ref()));
    }
    put(&mut all, "0020000D", "UI", Some(study.uid.as_str()));
    put(&mut all, "00201206", "IS", Some(series.len()));
    put(&mut all, "00201208", "IS", Some(instances));
    put(&mut all, "00081190", "UR", Some(format!("{base}/studies/{}", study.uid)));
    all
}

/// What is answered of a series, beside what is of its study.
pub fn series(series: &Series<'_>, base: &str) -> Attributes {
    let mut all = Attributes::new();
    let uid = series.uid();
    put(&mut all, "00080005", "CS", Some("ISO_IR 192"));
    put(&mut all, "00080056", "CS", Some("ONLINE"));
    put(&mut all, "00080060", "CS", Some(series.modality()));
    put(&mut all, "0008103E", "LO", said(series.description().as_ref()));
    put(&mut all, "00200011", "IS", number(series.number()));
    put(&mut all, "00201209", "IS", Some(series.count()));
    put(&mut all, "0020000D", "UI", Some(series.study.uid.as_str()));
    let address = format!("{base}/studies/{}/series/{uid}", series.study.uid);
    put(&mut all, "0020000E", "UI", Some(uid));
    put(&mut all, "00081190", "UR", Some(address));
    all
}

/// Which of an instance's own attributes are asked for, by their tags; None: all.
pub fn fields(asked: &Asked) -> Option<BTreeSet<String>> {
    const ALWAYS: [&str; 5] = ["00200013", "00280008", "00280010", "00280011", "00280100"];
    let always = ALWAYS.into_iter().map(str::to_owned);
    (!asked.all_fields).then(|| asked.fields.iter().cloned().chain(always).collect())
}

/// What is answered of an instance, with those of its own attributes that were read.
pub fn item(item: &Item<'_>, base: &str) -> Attributes {
    let mut all = Attributes::new();
    if let Bytes::Stored(stored) = &item.bytes {
        all.clone_from(&stored.instance.attributes);
    } else if item.series.object.is_some() {
        put(&mut all, "00200013", "IS", Some(1));
    }
    put(&mut all, "00080005", "CS", Some("ISO_IR 192"));
    put(&mut all, "00080016", "UI", Some(item.class.as_str()));
    put(&mut all, "00080018", "UI", Some(item.uid.as_str()));
    put(&mut all, "00080056", "CS", Some("ONLINE"));
    put(&mut all, "00080060", "CS", Some(item.series.modality()));
    put(&mut all, "0020000D", "UI", Some(item.series.study.uid.as_str()));
    put(&mut all, "0020000E", "UI", Some(item.series.uid()));
    put(&mut all, "00081190", "UR", Some(address(item, base)));
    all
}

/// Where the instance is.
pub fn address(item: &Item<'_>, base: &str) -> String {
    format!("{}/{}", instances(item.series, base), item.uid)
}

/// What the addresses of the series' instances begin with.
pub fn instances(series: &Series<'_>, base: &str) -> String {
    format!("{base}/studies/{}/series/{}/instances", series.study.uid, series.uid())
}

/// Those attributes as they are sent.
pub fn written(attributes: &Attributes) -> Result<Vec<u8>, Problem> {
    let unwritten = |error| ErrorKind::Internal.error("an answer cannot be written").because(error);
    Ok(serde_json::to_vec(attributes).map_err(unwritten)?)
}

/// All attributes of an instance, with whole addresses in place of long values.
pub fn metadata(mut attributes: Attributes, address: &str) -> Attributes {
    for attribute in attributes.values_mut() {
        let Some(Value::String(uri)) = attribute.get_mut("BulkDataURI") else { continue };
        *uri = format!("{address}/{uri}");
    }
    attributes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_its_groups_and_a_number_is_one() {
        let yamada = name(Some(&"Yamada^Tarou=\u{5c71}\u{7530}".to_owned())).unwrap();
        assert_eq!(
            yamada,
            json!({ "Alphabetic": "Yamada^Tarou", "Ideographic": "\u{5c71}\u{7530}" })
        );
        assert_eq!(name(Some(&" ".to_owned())), None);
        assert_eq!(number(Some("7 ".into())), Some(json!(7)));
        assert_eq!(number(Some("7a".into())), Some(json!("7a")));
    }

    #[test]
    fn a_long_value_is_at_an_address_behind_its_instances() {
        let attributes = json!({
            "7FE00010": { "vr": "OW", "BulkDataURI": "bulkdata/7FE00010" },
            "00100020": { "vr": "LO", "Value": ["4711"] },
        });
        let Value::Object(attributes) = attributes else { panic!() };
        let told = metadata(attributes, "/dicomweb/studies/1/series/2/instances/3");
        let uri = "/dicomweb/studies/1/series/2/instances/3/bulkdata/7FE00010";
        assert_eq!(told["7FE00010"]["BulkDataURI"], uri);
        assert_eq!(told["00100020"]["Value"][0], "4711");
    }
}
