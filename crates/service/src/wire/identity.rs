//! Whose scan it is, between the domain and messages.

use domain::Identity;
use proto::storage;

/// The same fields in the other type, each by its name: one that is new does not compile until it travels too.
macro_rules! converted {
    ($value:expr, $from:path => $to:path) => {
        converted!(
            $value,
            $from => $to,
            patient_name
            patient_id
            issuer_of_patient_id
            patient_birth_date
            patient_sex
            patient_age
            accession_number
            study_id
            study_date
            study_time
            study_description
            series_description
            series_number
            instance_number
            referring_physician_name
            institution_name
            study_instance_uid
            series_instance_uid
            sop_class_uid
            frame_of_reference_uid
            sop_instance_uids
            frame_numbers
            lossy_image_compression
            lossy_image_compression_ratio
            lossy_image_compression_method
        )
    };
    ($value:expr, $from:path => $to:path, $($field:ident)+) => {{
        let $from { $($field),+ } = $value;
        $to { $($field),+ }
    }};
}

/// The message of an identity.
pub fn identity(identity: Identity) -> storage::Identity {
    converted!(identity, Identity => storage::Identity)
}

/// The identity that a message says.
pub fn identity_of(message: storage::Identity) -> Identity {
    converted!(message, storage::Identity => Identity)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that has every attribute, each with a value of its own.
    fn whole() -> Identity {
        let empty = serde_json::to_value(Identity::default()).unwrap();
        let fields = empty.as_object().unwrap().iter().map(|(name, value)| {
            let said = match value.is_array() {
                true if name == "frame_numbers" => serde_json::json!([2, 1]),
                true => serde_json::json!([format!("{name} 1"), format!("{name} 2")]),
                false => name.as_str().into(),
            };
            (name.clone(), said)
        });
        serde_json::from_value(fields.collect::<serde_json::Map<_, _>>().into()).unwrap()
    }

    #[test]
    fn every_attribute_survives_the_wire() {
        let whole = whole();
        assert_eq!(whole.study_date.as_deref(), Some("study_date"));
        assert_eq!(identity_of(identity(whole.clone())), whole);
        assert_eq!(identity_of(identity(Identity::default())), Identity::default());
    }
}
