//! The certificate as a page that needs nothing besides, and holds what is signed.

use anyhow::Context;

use super::certificate::Signed;
use super::checks::{Checked, Measure, ROUND_TRIP_ERROR_MAX, VOLUME_ERROR_MAX, VOXELS_ERROR_MAX};

/// Between these stands what is signed.
const BEGIN: &str = "<script type=\"application/json\" id=\"certificate\">";
const END: &str = "</script>";

const STYLE: &str = "body{font:15px/1.45 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}\
    table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #ccc;padding:.25rem .5rem;text-align:left}\
    td.n{text-align:right;font-variant-numeric:tabular-nums}.failed{color:#a00;font-weight:bold}\
    code{overflow-wrap:anywhere}@media print{body{margin:0;font-size:11px}}";

/// The page; the same certificate is the same page.
pub fn written(signed: &Signed) -> anyhow::Result<String> {
    let Signed { certificate, signature } = signed;
    let json = serde_json::to_string(signed).context("a certificate cannot be written")?;
    // What is in it ends no element.
    let json = json.replace('<', "\\u003c");
    let whole = if certificate.complete { "" } else { " Not all cases were measured." };
    let cases: String = certificate.cases.iter().map(case).collect();
    Ok(format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Measurement certificate</title>\n\
         <style>{STYLE}</style>\n<h1>Measurement certificate</h1>\n\
         <p>{software} has measured phantoms of known volume, diameters and box, marked by {engine}: {verdict}.{whole}</p>\n\
         <p>Limits: volume {volume} %, diameters and centre {voxels} voxel, way into the patient and back {trip} voxel, box and side \
         exact. What is true follows from the phantoms' formulas. It says nothing of how well a model finds tumours.</p>\n\
         <table>\n<tr><th>Phantom<th>File<th>Measure<th>True<th>Measured<th>Off by<th>At most<th>\n{cases}</table>\n\
         <p>Signed (Ed25519) with the key <code>{key}</code>: <code>{value}</code>. <code>medseg certify --verify FILE</code> verifies \
         this page.</p>\n{BEGIN}{json}{END}\n</html>\n",
        software = escaped(&certificate.software),
        engine = escaped(&certificate.engine),
        verdict = verdict(certificate.passed),
        volume = 100.0 * VOLUME_ERROR_MAX,
        voxels = VOXELS_ERROR_MAX,
        trip = ROUND_TRIP_ERROR_MAX,
        key = escaped(&signature.key_id),
        value = escaped(&signature.value),
    ))
}

/// What is signed, as it stands in a page; None where this is none.
pub fn embedded(page: &str) -> Option<String> {
    let (_, from) = page.split_once(BEGIN)?;
    Some(from.split_once(END)?.0.to_owned())
}

fn case(case: &Checked) -> String {
    let head = format!("<td>{}<td>{}", escaped(&case.name), escaped(&case.door));
    let measures = case.measures.iter().map(|it| format!("<tr>{head}{}\n", measure(it)));
    let problem = |words: &String| {
        format!("<tr>{head}<td colspan=\"5\">{}<td class=\"failed\">failed\n", escaped(words))
    };
    measures.chain(case.problems.iter().map(problem)).collect()
}

fn measure(measure: &Measure) -> String {
    let Measure { name, expected, measured, error, limit, unit } = measure;
    let within = error <= limit;
    let class = if within { "" } else { " class=\"failed\"" };
    format!(
        "<td>{}<td class=\"n\">{expected:.3}<td class=\"n\">{measured:.3}<td class=\"n\">{error:.2} {unit}<td class=\"n\">{limit} {unit}<td{class}>{}",
        escaped(name),
        verdict(within),
        unit = escaped(unit),
    )
}

fn verdict(passed: bool) -> &'static str {
    if passed { "passed" } else { "failed" }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use service::claims::SigningKey;

    use super::super::certificate::tests::certificate;
    use super::*;

    #[test]
    fn what_a_case_says_is_words_on_the_page_and_no_element() {
        let mut certificate = certificate();
        certificate.cases[0].problems.push("</script><script>alert(1)</script>".into());
        certificate.cases[0].passed = false;
        let signed = certificate.sign(&SigningKey::generate(&service::system_random())).unwrap();
        let page = written(&signed).unwrap();
        assert!(!page.contains("<script>alert") && page.contains("&lt;script&gt;alert"), "{page}");
        let read: Signed = serde_json::from_str(&embedded(&page).unwrap()).unwrap();
        assert_eq!(read, signed);
        assert!(page.contains("class=\"failed\""));
        assert_eq!(embedded("<html></html>"), None);
    }
}
