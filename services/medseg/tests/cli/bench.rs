use crate::place::{FAILED, MISUSED, Place};

#[test]
fn what_cannot_be_timed_is_refused_by_name() {
    let place = Place::new();
    for (options, code, words) in [
        ("--scans 0", MISUSED, ["invalid value '0'", "--scans"]),
        ("--clients 0", MISUSED, ["invalid value '0'", "--clients"]),
        ("--device tpu", FAILED, ["no device `tpu`", "auto, cpu or cuda:0"]),
        ("--model nowhere --device cpu", FAILED, ["cannot load the model nowhere", "model.json"]),
    ] {
        place.medseg(&format!("bench {options}")).bad(code, &words);
    }
    assert_eq!(place.names("."), [""; 0]);
}
