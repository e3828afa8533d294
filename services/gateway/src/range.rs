//! Parts of a body (RFC 9110, 14): so that a download that broke off goes on, and a viewer reads what it shows.

use std::fmt::Arguments;
use std::ops::RangeInclusive;

use axum::http::{HeaderMap, HeaderValue, header};
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};

/// What is asked for of a body.
#[derive(Debug, PartialEq)]
pub enum Asked {
    All,
    Part(RangeInclusive<u64>),
    /// Bytes that it does not have.
    Beyond,
}

/// What is asked for of a body that is tagged `tag` and has `size` bytes.
///
/// Several ranges at once, and what is no range of bytes, are answered with the whole, as the standard allows.
pub fn asked(headers: &HeaderMap, tag: &str, size: u64) -> Asked {
    // Of another version no part would fit.
    let same = headers.get(header::IF_RANGE).is_none_or(|known| known.as_bytes() == tag.as_bytes());
    let range = headers.get(header::RANGE).filter(|_| same).and_then(|range| range.to_str().ok());
    let Some(Ok(ranges)) = range.map(http_range_header::parse_range_header) else {
        return Asked::All;
    };
    match ranges.validate(size).map(<[_; 1]>::try_from) {
        Ok(Ok([one])) => Asked::Part(one),
        Ok(Err(_)) => Asked::All,
        Err(_) => Asked::Beyond,
    }
}

/// What the header `Content-Range` says of bytes.
pub fn content_range(what: Arguments<'_>) -> HeaderValue {
    // Digits and marks are always fit for a header.
    HeaderValue::try_from(format!("bytes {what}")).unwrap_or(HeaderValue::from_static("bytes */*"))
}

/// Those of `bytes`; nothing after them is read.
pub fn cut<E>(
    bytes: impl Stream<Item = Result<Bytes, E>>,
    range: RangeInclusive<u64>,
) -> impl Stream<Item = Result<Bytes, E>> {
    let (mut skip, mut left) = (*range.start(), range.end() - range.start() + 1);
    let part = bytes.map_ok(move |mut bytes| {
        let before = skip.min(bytes.len() as u64);
        skip -= before;
        let mut part = bytes.split_off(before as usize);
        part.truncate(left.min(part.len() as u64) as usize);
        left -= part.len() as u64;
        (part, left == 0)
    });
    let mut whole = false;
    part.take_while(move |part| {
        let goes_on = !whole;
        whole = part.as_ref().is_ok_and(|(_, last)| *last);
        std::future::ready(goes_on)
    })
    .map_ok(|(part, _)| part)
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    fn range(range: &str, if_range: Option<&str>) -> Asked {
        let mut headers = HeaderMap::from_iter([(header::RANGE, range.parse().unwrap())]);
        if let Some(tag) = if_range {
            headers.insert(header::IF_RANGE, tag.parse().unwrap());
        }
        asked(&headers, "\"tag\"", 10)
    }

    #[test]
    fn one_range_of_bytes_is_understood_and_the_rest_is_the_whole() {
        assert_eq!(asked(&HeaderMap::new(), "", 10), Asked::All);
        for (text, expected) in [
            ("bytes=0-3", Asked::Part(0..=3)),
            ("bytes=7-", Asked::Part(7..=9)),
            ("bytes=-2", Asked::Part(8..=9)),
            ("bytes=0-1,4-5", Asked::All),
            ("lines=0-1", Asked::All),
            ("bytes=10-", Asked::Beyond),
        ] {
            assert_eq!(range(text, None), expected, "{text}");
        }
        assert_eq!(range("bytes=0-3", Some("\"tag\"")), Asked::Part(0..=3));
        assert_eq!(range("bytes=0-3", Some("\"older\"")), Asked::All);
    }

    #[tokio::test]
    async fn a_part_is_what_lies_there_however_the_pieces_fall() {
        let text = b"0123456789";
        for pieces in 1..=10 {
            for (from, to) in [(0, 0), (0, 9), (3, 6), (9, 9), (4, 9)] {
                let chunks: Vec<Result<Bytes, ()>> =
                    text.chunks(pieces).map(|piece| Ok(Bytes::from_static(piece))).collect();
                let part: Vec<Bytes> =
                    cut(stream::iter(chunks), from..=to).try_collect().await.unwrap();
                assert_eq!(part.concat(), text[from as usize..=to as usize], "{pieces}");
            }
        }
    }

    #[tokio::test]
    async fn a_failure_within_the_part_is_told_and_one_behind_it_is_not_met() {
        let pieces = || stream::iter([Ok(Bytes::from_static(b"01234")), Err("broken")]);
        let within: Result<Vec<Bytes>, _> = cut(pieces(), 3..=7).try_collect().await;
        assert_eq!(within, Err("broken"));
        let before: Result<Vec<Bytes>, _> = cut(pieces(), 1..=4).try_collect().await;
        assert_eq!(before.unwrap().concat(), b"1234");
    }
}
