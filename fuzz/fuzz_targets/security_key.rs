#![no_main]

libfuzzer_sys::fuzz_target!(init: fuzz::calm(), |bytes: &[u8]| fuzz::targets::security_key(bytes));
