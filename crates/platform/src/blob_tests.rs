use super::*;

fn bucket(url: &str) -> Result<Bucket> {
    Bucket::of(&Url::parse(url).unwrap())
}

#[test]
fn an_object_is_named_within_its_buckets_prefix_however_that_is_written() {
    for (url, name) in [
        ("gs://scans", "a/b"),
        ("gs://scans/", "a/b"),
        ("gs://scans/some/prefix", "some/prefix/a/b"),
        ("s3://scans//some/prefix//?endpoint=http://127.0.0.1:9000/", "some/prefix/a/b"),
    ] {
        let bucket = bucket(url).unwrap();
        assert_eq!((bucket.name.as_str(), bucket.name_of("a/b").as_str()), ("scans", name));
    }
    let own = bucket("s3://scans?endpoint=http://127.0.0.1:9000/").unwrap().endpoint;
    assert_eq!(own.as_deref(), Some("http://127.0.0.1:9000"));
    assert_eq!(bucket("gs://scans").unwrap().endpoint, None);
}

#[test]
fn an_address_without_a_bucket_or_with_what_nobody_reads_is_refused() {
    for url in ["gs:///prefix", "s3:scans", "gs://scans?region=eu", "gs://scans?endpoint=here"] {
        let refused = bucket(url).err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{url}");
    }
}

#[test]
fn a_key_is_a_path_that_stays_within_the_store() {
    let plain = ["a", "tenant/scan/volume", "A-1_b.c", "sha256-ab/0.bin", "mask.nii.gz"];
    assert!(plain.iter().all(|key| check_key(key).is_ok()));
    for key in ["", "/", "a/", "/a", "a//b", ".", "..", "a/../b", ".hidden", "a/.b", "a\\b"] {
        assert!(check_key(key).is_err(), "{key:?}");
    }
    for key in ["a b", "a\nb", "ä", "a%2fb", "a?b", "a:b"] {
        assert!(check_key(key).is_err(), "{key:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_is_waited_for_no_longer_than_its_caller_waits() {
    let second = Duration::from_secs(1);
    let never = || within_timeout(3 * second, std::future::pending::<Result<()>>());
    let began = tokio::time::Instant::now();
    assert_eq!(never().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(began.elapsed().as_secs(), 3);
    let hurried = deadline::with_deadline(second, never()).await;
    assert_eq!(hurried.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(began.elapsed().as_secs(), 4);
    // A large object has its second for each quarter of a mebibyte.
    assert_eq!(upload_timeout(512 << 20) - upload_timeout(0), 2048 * second);
}
