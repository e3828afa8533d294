//! Passwords that are put together as people put them together who are asked for twelve characters: a common word or two, a year, a
//! sign. A list of any length lacks the next year's.

use std::ops::Range;

/// What guessers begin with; some of it in other languages.
const WORDS: &str = include_str!("words.txt");
/// How fingers and alphabets go.
const WALKS: [&str; 8] = [
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890",
    "qwertyuiop",
    "azertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik",
    "qazwsxedcrfvtgbyhnujmikolp",
];
/// Of fewer characters, every word has a walk in it.
const WALK_SHORTEST: usize = 4;
/// So many pieces are guessed in no time, in whatever order.
const PIECES: usize = 3;

/// Whether a password in lower case is a few common pieces and nothing else.
pub fn is_commonplace(lower: &str) -> bool {
    let letters: Vec<char> = lower.chars().collect();
    pieces(&letters).is_some_and(|pieces| pieces <= PIECES)
}

/// The fewest common pieces that it is made of, if it is made of them; signs between them add nothing.
fn pieces(letters: &[char]) -> Option<usize> {
    let mut fewest: Vec<Option<usize>> = vec![None; letters.len() + 1];
    fewest[0] = Some(0);
    for begin in 0..letters.len() {
        let Some(so_far) = fewest[begin] else { continue };
        let mut reach = |end: usize, pieces: usize| {
            fewest[end] = Some(fewest[end].map_or(pieces, |known| known.min(pieces)));
        };
        if !letters[begin].is_alphanumeric() {
            reach(begin + 1, so_far);
        }
        for end in ends(letters, begin) {
            reach(end, so_far + 1);
        }
    }
    fewest[letters.len()]
}

/// Where a common piece that begins there may end.
fn ends(letters: &[char], begin: usize) -> Vec<usize> {
    let rest = &letters[begin..];
    let words = WORDS.split_whitespace().filter(|word| is_word(rest, word));
    let mut ends: Vec<usize> = words.map(|word| begin + word.chars().count()).collect();
    let digits = rest.iter().take_while(|letter| letter.is_ascii_digit()).count();
    if digits > 0 {
        ends.push(begin + digits);
    }
    ends.extend(walked(rest).map(|steps| begin + steps));
    ends
}

/// Whether it begins with the word, signs that look like letters among it.
fn is_word(rest: &[char], word: &str) -> bool {
    let length = word.chars().count();
    rest.len() >= length
        && rest.iter().zip(word.chars()).all(|(&written, meant)| is(written, meant))
}

fn is(written: char, meant: char) -> bool {
    written == meant
        || matches!(
            (written, meant),
            ('0', 'o')
                | ('1' | '!', 'i' | 'l')
                | ('3', 'e')
                | ('4' | '@', 'a')
                | ('5' | '$', 's')
                | ('7', 't')
        )
}

/// How far it may be gone along a walk, in either direction.
fn walked(rest: &[char]) -> Range<usize> {
    let longest = WALKS.iter().flat_map(|walk| {
        let there: Vec<char> = walk.chars().collect();
        let back: Vec<char> = walk.chars().rev().collect();
        [there, back].map(|way| along(rest, &way))
    });
    WALK_SHORTEST..longest.max().unwrap_or(0).max(WALK_SHORTEST - 1) + 1
}

/// How far it goes along this way, from wherever on it.
fn along(rest: &[char], way: &[char]) -> usize {
    let from = |start: usize| rest.iter().zip(&way[start..]).take_while(|(a, b)| a == b).count();
    (0..way.len()).map(from).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_commonest_three_thousand_are_refused() {
        let signs = || ["", "!", "!!", ".", "#1"].into_iter();
        let years = || (2020..2031).flat_map(move |year| signs().map(move |sign| (year, sign)));
        let combined = WORDS
            .split_whitespace()
            .flat_map(|word| years().map(move |(year, sign)| format!("{word}{year}{sign}")));
        let combined: Vec<_> = combined.filter(|it| it.chars().count() >= 12).collect();
        assert!(combined.len() > 3000, "{}", combined.len());
        for password in combined {
            assert!(is_commonplace(&password), "{password}");
        }
    }

    #[test]
    fn what_is_put_together_of_common_pieces_is_seen_through() {
        for bad in [
            "summer2026!!",
            "hospital2026",
            "h0sp1t4l-2026",
            "abcdabcdabcd",
            "p@$$word2026!",
            "qwertyuiop12",
            "poiuytrewq99",
            "2026winter2027",
            "1qaz2wsx3edc!",
            "welcomedoctor1",
        ] {
            assert!(is_commonplace(bad), "{bad}");
        }
    }

    #[test]
    fn sentences_and_what_a_generator_makes_are_taken() {
        for good in [
            "correct horse battery",
            "ein langer satz ohne ziffern",
            "the password that this test has chosen",
            "9f3c1e07ab5d4482",
            "tulip-engine-marble-seven",
            "kx7!vq2mzt0p",
        ] {
            assert!(!is_commonplace(good), "{good}");
        }
    }
}
