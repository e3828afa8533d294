//! The parts of an upload: in their order, all of them, or it is none.

use domain::ErrorKind;
use image::ImageFormat;
use proto::ingest::upload_part::Part;
use proto::ingest::{UploadEnd, UploadFile};

use crate::files;
use crate::world::World;

fn file(name: &str) -> Part {
    Part::File(UploadFile { name: name.into() })
}

fn end(size_bytes: usize) -> Part {
    Part::End(UploadEnd { size_bytes: size_bytes as u64 })
}

#[tokio::test]
async fn parts_in_another_order_or_of_another_size_than_they_say_are_no_upload() {
    let world = World::new().await;
    let png = files::picture(&files::slice(), ImageFormat::Png);
    let (half, rest) = png.split_at(png.len() / 2);
    let data = |bytes: &[u8]| Part::Data(bytes.to_vec().into());
    let header = || Part::Header(world.header());
    let cases = [
        ("nothing at all", vec![]),
        ("no header", vec![data(&png), end(png.len())]),
        ("a file before the header", vec![file("x"), header(), data(&png), end(png.len())]),
        ("an end before the header", vec![end(0), header(), data(&png), end(png.len())]),
        ("two headers", vec![header(), data(half), header(), data(rest), end(png.len())]),
        ("a part that is lost", vec![header(), data(half), end(png.len())]),
        ("a part that is there twice", vec![header(), data(half), data(&png), end(png.len())]),
        ("no end", vec![header(), data(&png)]),
        ("no end of the second file", vec![header(), data(&png), file("y"), data(&png)]),
        (
            "no more than the first file's size",
            vec![header(), data(&png), file("y"), data(&png), end(png.len())],
        ),
        ("an end that counts one more", vec![header(), data(&png), end(png.len() + 1)]),
    ];
    for (what, parts) in cases {
        let error = world.upload_parts(parts).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{what}: {error}");
    }
    assert_eq!((world.storage.count("scans").await, world.spooled()), (0, 0));
    // The same parts in their order are one.
    let parts = vec![header(), data(half), data(rest), end(png.len())];
    assert!(world.upload_parts(parts).await.is_ok());
    assert_eq!(world.storage.count("scans").await, 1);
}
