use crate::place::{FAILED, MISUSED, Place};

#[test]
fn what_keeps_it_from_starting_is_told_before_anything_is_served() {
    let place = Place::new();
    place.write("taken", "a file where a folder is asked for");
    for (options, code, words) in [
        ("--listen nowhere", MISUSED, ["invalid value 'nowhere'", "--listen"]),
        ("--max-uploads many", MISUSED, ["invalid value 'many'", "--max-uploads"]),
        ("--data taken", FAILED, ["the data directory", "taken"]),
        ("--data /proc/nowhere", FAILED, ["the data directory", "/proc/nowhere"]),
    ] {
        place.medseg(&format!("serve {options}")).bad(code, &words);
    }
    assert_eq!(place.names("."), ["taken"]);
}
