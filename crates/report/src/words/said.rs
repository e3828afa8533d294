//! The remarks and reasons of results, which say them in English, in another language.

/// Sentences by the words that results have for them.
pub struct Said {
    /// `{}` stands for what differs from one result to another, in the same order in both.
    pub sentences: &'static [(&'static str, &'static str)],
    /// What may stand there and is said otherwise; other words, such as names, stay as they are.
    pub terms: &'static [(&'static str, &'static str)],
}

impl Said {
    /// What a result says, in this language; as the result has it where nobody has translated it.
    pub fn of(&self, said: &str) -> String {
        let known = |(own, words): &(&str, &'static str)| Some((captured(own, said)?, *words));
        match self.sentences.iter().find_map(known) {
            Some((parts, words)) => self.filled(words, &parts),
            None => said.to_owned(),
        }
    }

    fn filled(&self, words: &str, parts: &[&str]) -> String {
        let (mut pieces, mut parts) = (words.split("{}"), parts.iter());
        let mut whole = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            whole.push_str(&self.listed(parts.next().copied().unwrap_or_default()));
            whole.push_str(piece);
        }
        whole
    }

    /// One term, or several with commas between them.
    fn listed(&self, terms: &str) -> String {
        terms.split(", ").map(|term| self.term(term)).collect::<Vec<_>>().join(", ")
    }

    fn term(&self, term: &str) -> String {
        let known = |term: &str| self.terms.iter().find(|(own, _)| *own == term);
        if let Some((_, words)) = known(term) {
            return (*words).to_owned();
        }
        // Counted, as in `a GIF file (2)`.
        if let Some((one, count)) = term.rsplit_once(" (")
            && let Some((_, words)) = known(one)
        {
            return format!("{words} ({count}");
        }
        term.to_owned()
    }
}

/// What stands for each `{}`, where the words are those of the template.
fn captured<'a>(template: &str, said: &'a str) -> Option<Vec<&'a str>> {
    let literals: Vec<&str> = template.split("{}").collect();
    let (first, others) = literals.split_first()?;
    let mut rest = said.strip_prefix(*first)?;
    let mut parts = Vec::new();
    let Some((last, between)) = others.split_last() else {
        return rest.is_empty().then_some(parts);
    };
    for literal in between {
        let (part, behind) = rest.split_once(*literal)?;
        parts.push(part);
        rest = behind;
    }
    parts.push(rest.strip_suffix(*last)?);
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: Said = Said {
        sentences: &[("one thing", "une chose"), ("{} of {}: all", "{} de {} : tout")],
        terms: &[("a GIF file", "un fichier GIF"), ("raw data (kept)", "des données brutes")],
    };

    #[test]
    fn what_differs_is_put_into_the_translated_sentence() {
        for (english, french) in [
            ("one thing", "une chose"),
            ("one thing more", "one thing more"),
            ("3 of a GIF file: all", "3 de un fichier GIF : tout"),
            (
                "3 of a GIF file (2), raw data (kept): all",
                "3 de un fichier GIF (2), des données brutes : tout",
            ),
            ("3 of doe.txt: all", "3 de doe.txt : tout"),
            ("3 of doe.txt: some", "3 of doe.txt: some"),
        ] {
            assert_eq!(SAID.of(english), french);
        }
    }
}
