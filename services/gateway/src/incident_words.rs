//! What the page says through which patients report what went wrong, in one table for each language.

use axum::http::{HeaderMap, header};

/// The page's words in one language.
pub struct Words {
    pub language: &'static str,
    /// The language that it leads to, and how that calls itself.
    pub other: &'static str,
    pub in_other: &'static str,
    pub title: &'static str,
    pub about: &'static str,
    pub label: &'static str,
    pub hint: &'static str,
    pub send: &'static str,
    pub kept: &'static str,
    pub over: &'static str,
    pub enough: &'static str,
    pub length: &'static str,
    pub later: &'static str,
}

static ENGLISH: Words = Words {
    language: "en",
    other: "fr",
    in_other: "Français",
    title: "Tell us what went wrong",
    about: "A computer program has helped to look at images of your head. If something about that went wrong, or worries you, tell \
        the hospital here. Your words go to those who run the program there.",
    label: "What happened?",
    hint: "Up to 4,000 characters. You need not say who you are. This is no way to reach a doctor: if you feel ill, call the hospital \
        or the emergency services.",
    send: "Send",
    kept: "Thank you. Your words have reached the hospital. You may close this page.",
    over: "This link is not valid, or not any more. Ask the hospital for another. Your words are still below, and have not been sent.",
    enough: "As much was written through this link as is kept. Ask the hospital for another. Your words have not been sent.",
    length: "Please write at least one word, and no more than 4,000 characters. Nothing has been sent.",
    later: "Your words could not be sent just now. They are still below: please send them again in a few minutes.",
};

static FRENCH: Words = Words {
    language: "fr",
    other: "en",
    in_other: "English",
    title: "Dites-nous ce qui n’a pas été",
    about: "Un programme d’ordinateur a aidé à lire des images de votre tête. Si quelque chose s’est mal passé, ou vous inquiète, \
        dites-le ici à l’hôpital. Vos mots vont à ceux qui y font fonctionner le programme.",
    label: "Que s’est-il passé ?",
    hint: "4 000 caractères au plus. Vous n’avez pas à dire qui vous êtes. Ceci ne permet pas de joindre un médecin : si vous vous \
        sentez mal, appelez l’hôpital ou les urgences.",
    send: "Envoyer",
    kept: "Merci. Vos mots sont arrivés à l’hôpital. Vous pouvez fermer cette page.",
    over: "Ce lien n’est pas valable, ou ne l’est plus. Demandez-en un autre à l’hôpital. Vos mots sont encore ci-dessous et n’ont pas \
        été envoyés.",
    enough: "Ce lien a déjà servi autant qu’il le peut. Demandez-en un autre à l’hôpital. Vos mots n’ont pas été envoyés.",
    length: "Écrivez au moins un mot, et 4 000 caractères au plus. Rien n’a été envoyé.",
    later: "Vos mots n’ont pas pu être envoyés pour l’instant. Ils sont encore ci-dessous : envoyez-les de nouveau dans quelques minutes.",
};

/// The words in the language that was asked for, or else in the one that the browser names first.
pub fn words_in(asked: Option<&str>, headers: &HeaderMap) -> &'static Words {
    let named = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    let mut named = named.unwrap_or_default().split(',').map(|one| one.trim().to_ascii_lowercase());
    let first = named.find(|one| one.starts_with("fr") || one.starts_with("en"));
    match (asked, first) {
        (Some("fr"), _) => &FRENCH,
        (Some("en"), _) => &ENGLISH,
        (_, Some(first)) if first.starts_with("fr") => &FRENCH,
        _ => &ENGLISH,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_page_speaks_the_language_that_is_asked_for_first() {
        for (asked, browser, language) in [
            (None, "", "en"),
            (None, "fr-CM,fr;q=0.9,en;q=0.8", "fr"),
            (None, "de,en;q=0.8,fr;q=0.5", "en"),
            (None, "sw,fr;q=0.5", "fr"),
            (Some("en"), "fr", "en"),
            (Some("fr"), "en", "fr"),
            (Some("la"), "fr", "fr"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_LANGUAGE, HeaderValue::from_static(browser));
            assert_eq!(words_in(asked, &headers).language, language, "{asked:?}, {browser}");
        }
    }
}
