//! What every key ring must do, whatever is behind it.

use domain::{ErrorKind, Random};

use super::{DataKey, KeyRing, Wrapped};

/// Runs the suite; panics where the ring breaks a promise.
pub async fn run(ring: KeyRing, random: Random) {
    let key = DataKey::drawn(&random);
    let wrapped = ring.wrap(&key, "a hospital").await.expect("wrapped");
    let opened = ring.open(&wrapped, "a hospital").await.expect("opened");
    // Keys are compared by what they do.
    assert_eq!(opened.digest("of", "text"), key.digest("of", "text"));
    let again = ring.wrap(&key, "a hospital").await.expect("wrapped");
    assert_eq!(again.by, wrapped.by, "the same key of the ring wraps");
    ring.open(&again, "a hospital").await.expect("wrapped twice, it opens twice");

    let another = ring.wrap(&DataKey::drawn(&random), "a hospital").await.expect("wrapped");
    let altered = |text: String| Wrapped { by: wrapped.by.clone(), text };
    let cut = altered(wrapped.text.chars().skip(4).collect());
    let joined = altered(format!("{}{}", &wrapped.text[..8], &another.text[8..]));
    for (refused, whose) in [
        (&wrapped, "another"),
        (&cut, "a hospital"),
        (&joined, "a hospital"),
        (&altered(String::new()), "a hospital"),
    ] {
        let error = ring.open(refused, whose).await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
    }
}
