use domain::Answer;
use domain::feedback::{Reason, Truth, Verdict};
use imaging::{ImageKind, KindSource, Laterality, Plane, Role, Unit};

use super::{AnswerWords, Doubt, Findings, Origin, Pictures, Readers, Sign, Whose, Words};

pub static WORDS: Words = Words {
    tag: "fr",
    title: "Compte rendu d’une analyse automatique",
    research: "POUR LA RECHERCHE, PAS POUR LE DIAGNOSTIC",
    limits: "Calculé par un logiciel sans autorisation médicale, pour la recherche. Ce n’est pas un diagnostic : il peut manquer des \
             tumeurs, marquer du tissu sain, et ne sait du patient que ces pixels. Une personne qualifiée doit regarder l’examen.",
    whose: Whose {
        patient: "Patient",
        number: "Identifiant du patient",
        born: "Date de naissance",
        sex: "Sexe",
        study: "Examen",
        series: "Série",
        accession: "Numéro d’examen",
        reference: "Référence de l’expéditeur",
        institution: "Établissement",
        accepted: "Reçu",
        unknown: "non indiqué",
        left_out: "Ce compte rendu ne dit pas de qui est l’examen : cela a été omis, ou la personne qui l’a demandé ne peut le savoir.",
    },
    answer,
    reason: "Raison",
    pictures: Pictures {
        slice: |(slice, of)| format!("Coupe {slice} sur {of}"),
        boxed: "lésions encadrées",
        outlined: "lésions entourées",
        side_unknown: "côté inconnu",
        view,
        none: "Il n’y a pas d’image de cet examen.",
    },
    findings: Findings {
        title: "Lésions",
        columns: ["N°", "Rôle", "Coupe", "Taille", "Diamètres", "Côté du patient"],
        role: |role| match role {
            Role::Main => "principale",
            Role::Lesser => "secondaire",
        },
        side: |side| match side {
            Some(Laterality::Left) => "gauche",
            Some(Laterality::Right) => "droite",
            Some(Laterality::Midline) => "ligne médiane",
            None => "inconnu",
        },
        unit: |unit| match unit {
            Unit::Millimetre => "mm",
            Unit::Pixel => "pixels",
        },
        pixels: "pixels",
        voxels: "voxels",
        total: |(count, size)| match count {
            1 => format!("Une lésion principale, {size}."),
            count => format!("{count} lésions principales, {size} ensemble."),
        },
        lesser: |count| {
            match count {
            1 => "Une lésion secondaire est à part de la principale et n’entre dans aucun total : ce peut être une tumeur.".into(),
            count => format!(
                "{count} lésions secondaires sont à part de la principale et n’entrent dans aucun total : chacune peut être une tumeur."
            ),
        }
        },
        more: |count| format!("{count} de plus : voir le résultat (result.json)."),
    },
    doubt: Doubt {
        title: "Degré de confiance",
        fit: |[dice, low, high]| {
            format!(
                "Le contour devrait recouvrir celui d’un radiologue à {dice:.2} (Dice : 1 est un accord parfait, 0 aucun). Pour neuf \
                 examens sur dix comme celui-ci, la valeur est entre {low:.2} et {high:.2}."
            )
        },
        certainty: |share| format!("Certitude du modèle lui-même sur cette réponse : {share}."),
        more: |count| format!("{count} remarques de plus : voir le résultat (result.json)."),
        below: "moins de 1 %",
        above: "plus de 99 %",
        remarks: REMARKS,
    },
    origin: Origin {
        title: "Origine du résultat",
        model: "Modèle",
        no_model: "aucun n’a été exécuté",
        untrained: "non entraîné : il tient lieu de modèle",
        weights: "Poids, SHA-256",
        no_weights: "aucun",
        image: "Type d’image",
        kind: |kind| match kind {
            ImageKind::Flair => "FLAIR",
            ImageKind::T1Contrast => "T1 avec produit de contraste",
            ImageKind::Other => "ni FLAIR ni T1 avec produit de contraste",
            ImageKind::Unknown => "inconnu",
        },
        told_by: |source| match source {
            Some(KindSource::Dicom) => ", selon son en-tête",
            Some(KindSource::Model) => ", selon le modèle",
            None => "",
        },
        threshold: "Seuil",
        software: "Logiciel",
        answered: "Réponse",
    },
    readers: Readers {
        title: "Avis des lecteurs",
        none: "Aucun lecteur n’a encore donné d’avis.",
        hidden: |count| match count {
            1 => "Un lecteur a jugé cet examen ; son avis est montré après le vôtre.".into(),
            count => format!(
                "Des lecteurs ont jugé cet examen {count} fois ; leurs avis sont montrés après le vôtre."
            ),
        },
        left_out: "Les avis des lecteurs ne sont pas montrés à la personne qui a demandé ce compte rendu.",
        verdict: |verdict| match verdict {
            Verdict::Agree => "est d’accord",
            Verdict::Correct => "corrige",
            Verdict::Reject => "rejette",
            Verdict::Unsure => "n’est pas sûr",
        },
        truth: |truth| match truth {
            Truth::Tumour => "il y a une tumeur",
            Truth::NoTumour => "il n’y a pas de tumeur",
        },
        reason: |reason| match reason {
            Reason::Missed => "quelque chose a été manqué",
            Reason::FalseFinding => "une lésion n’en est pas une",
            Reason::Outline => "le contour ne convient pas",
            Reason::WrongSide => "mauvais côté",
            Reason::Quality => "l’image n’est pas assez bonne",
            Reason::Other => "autre chose",
        },
        more: |count| format!("{count} lecteurs de plus : voir la page de l’examen."),
    },
    sign: Sign { name: "Nom", signature: "Signature", date: "Date" },
    made: "Établi",
    scan: "Examen",
    numbered: "⟨U+…⟩ est un caractère que ce compte rendu ne peut dessiner, par son numéro dans Unicode.",
};

/// The remarks of `imaging::Quality`; others, those that a file brings, stay as they are.
const REMARKS: &[(&str, &str)] = &[
    (
        "the file does not say how large its pixels are: sizes are in pixels",
        "le fichier ne dit pas la taille de ses pixels : les tailles sont en pixels",
    ),
    (
        "the file does not say which way the patient lies: pictures are as stored, and sides are unknown",
        "le fichier ne dit pas comment le patient est couché : les images sont telles qu’enregistrées, et les côtés sont inconnus",
    ),
    (
        "one slice of unknown thickness: an area is given and no volume",
        "une coupe d’épaisseur inconnue : une aire est donnée, et pas de volume",
    ),
    (
        "the file does not say what made the image: it was taken for MR",
        "le fichier ne dit pas d’où vient l’image : elle a été prise pour une IRM",
    ),
    (
        "a finding reaches the first or the last slice: it may be larger",
        "une lésion atteint la première ou la dernière coupe : elle peut être plus grande",
    ),
    ("the model is unsure of this answer", "le modèle n’est pas sûr de cette réponse"),
    (
        "one lesser finding lies apart from the main one: it is in no total",
        "une lésion secondaire est à part de la principale : elle n’entre dans aucun total",
    ),
    (
        "what kind of image this is could not be told: the general cut was used",
        "le type d’image n’a pu être reconnu : le seuil général a été pris",
    ),
    (
        "its header says that it is of a kind that the model was not made for: neither FLAIR nor contrast-enhanced T1",
        "l’en-tête dit que l’image est d’un type pour lequel le modèle n’est pas fait : ni FLAIR ni T1 avec produit de contraste",
    ),
];

fn answer(answer: Answer) -> AnswerWords {
    match answer {
        Answer::Found => AnswerWords {
            title: "Région tumorale trouvée",
            sentence: "Ce qui est entouré a été marqué par le modèle. Un radiologue doit le confirmer.",
        },
        Answer::NoneFound => AnswerWords {
            title: "Rien trouvé",
            sentence: "Tout l’examen a été analysé et aucune région tumorale n’a été marquée. Cela n’exclut pas une tumeur.",
        },
        Answer::NotAnalysable => AnswerWords {
            title: "Non analysable",
            sentence: "Le fichier est valide, mais aucun modèle ici ne peut juger cet examen. Rien n’est dit du patient.",
        },
        Answer::Failed => AnswerWords {
            title: "Échec de l’analyse",
            sentence: "Une erreur s’est produite de notre côté. Cela ne dit rien du patient : l’examen n’a pas été jugé.",
        },
    }
}

fn view((plane, left): (Plane, char)) -> String {
    let plane = match plane {
        Plane::Axial => "axiale",
        Plane::Coronal => "coronale",
        Plane::Sagittal => "sagittale",
    };
    format!("{plane}, {left} à gauche")
}
