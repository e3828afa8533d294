use domain::Answer;
use domain::feedback::{FindingVerdict, Reason, Truth, Verdict};
use imaging::{ImageKind, KindSource, Laterality, Plane, Role, Unit};

use super::said::Said;
use super::{AnswerWords, Doubt, Findings, Origin, Pictures, Readers, Sign, Whose, Words};

pub static WORDS: Words = Words {
    tag: "fr",
    decimal: ",",
    said: Said { sentences: SENTENCES, terms: TERMS },
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
        fit: |figures| {
            let [dice, low, high] = figures.map(|figure| format!("{figure:.2}").replace('.', ","));
            format!(
                "Le contour devrait recouvrir celui d’un radiologue à {dice} (Dice : 1 est un accord parfait, 0 aucun). Pour neuf \
                 examens sur dix comme celui-ci, la valeur est entre {low} et {high}."
            )
        },
        certainty: |share| format!("Certitude du modèle lui-même sur cette réponse : {share}."),
        more: |count| format!("{count} remarques de plus : voir le résultat (result.json)."),
        below: "moins de 1 %",
        above: "plus de 99 %",
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
        finding: |(label, verdict)| {
            let said = match verdict {
                FindingVerdict::Agree => "confirmée",
                FindingVerdict::Reject => "n’en est pas une",
                FindingVerdict::Unsure => "incertaine",
            };
            format!("lésion {label} : {said}")
        },
        more: |count| format!("{count} lecteurs de plus : voir la page de l’examen."),
    },
    sign: Sign { name: "Nom", signature: "Signature", date: "Date" },
    made: "Établi",
    scan: "Examen",
    numbered: "⟨U+…⟩ est un caractère que ce compte rendu ne peut dessiner, par son numéro dans Unicode.",
};

/// The remarks of results, and their reasons.
const SENTENCES: &[(&str, &str)] = &[
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
    (
        "its header says that it is {}, and to the model it looks like {}: it was judged as {}",
        "l’en-tête dit que l’image est en {}, et pour le modèle elle ressemble à {} : elle a été jugée comme {}",
    ),
    (
        "{} lesser findings lie apart from the main one: they are in no total",
        "{} lésions secondaires sont à part de la principale : elles n’entrent dans aucun total",
    ),
    ("1 label map was left out", "une carte d’étiquettes a été omise"),
    ("{} label maps were left out", "{} cartes d’étiquettes ont été omises"),
    ("1 copy of a slice was left out", "une copie d’une coupe a été omise"),
    ("{} copies of slices were left out", "{} copies de coupes ont été omises"),
    (
        "1 file that is no slice was left out: {}",
        "un fichier qui n’est pas une coupe a été omis : {}",
    ),
    (
        "{} files that are no slices were left out: {}",
        "{} fichiers qui ne sont pas des coupes ont été omis : {}",
    ),
    (
        "page {} is a label map and was left out",
        "la page {} est une carte d’étiquettes et a été omise",
    ),
    (
        "{} pages are label maps and were left out, page {} first",
        "{} pages sont des cartes d’étiquettes et ont été omises, la page {} en premier",
    ),
    (
        "by their names, slices are missing between {} and {}",
        "d’après leurs noms, il manque des coupes entre {} et {}",
    ),
    (
        "this is no trained model: it stands in for one, for research, and no patient may depend on it",
        "ce n’est pas un modèle entraîné : il en tient lieu, pour la recherche, et aucun patient ne doit en dépendre",
    ),
    (
        "this model serves although its figures were refused: {}",
        "ce modèle est en service bien que ses résultats aient été refusés : {}",
    ),
    ("no model is registered for {}", "aucun modèle n’est enregistré pour {}"),
    (
        "the stored scan is damaged and was not analysed: please upload it again",
        "l’examen conservé est endommagé et n’a pas été analysé : veuillez l’envoyer de nouveau",
    ),
    (
        "the analysis was tried {} times and never finished",
        "l’analyse a été tentée {} fois et n’a jamais abouti",
    ),
];

/// Kinds of image, and of files that are none.
const TERMS: &[(&str, &str)] = &[
    ("contrast-enhanced T1", "T1 avec produit de contraste"),
    ("this kind of image", "ce type d’image"),
    ("another archive", "une autre archive"),
    ("an empty file", "un fichier vide"),
    ("no image", "pas une image"),
    ("a picture", "une simple image"),
    ("a screen capture", "une capture d’écran"),
    ("a GIF file", "un fichier GIF"),
    ("a BigTIFF file", "un fichier BigTIFF"),
    ("a BMP file", "un fichier BMP"),
    ("a JPEG 2000 file", "un fichier JPEG 2000"),
    ("a JPEG XL file", "un fichier JPEG XL"),
    ("a HEIF or AVIF file", "un fichier HEIF ou AVIF"),
    ("an NRRD file", "un fichier NRRD"),
    ("a directory (DICOMDIR)", "un répertoire (DICOMDIR)"),
    ("a key object selection", "une sélection d’objets clés"),
    ("a structured report", "un compte rendu structuré"),
    ("a presentation state", "un état de présentation"),
    ("an encapsulated document", "un document encapsulé"),
    ("a waveform", "un tracé"),
    ("a part of a radiotherapy plan", "une partie d’un plan de radiothérapie"),
    ("a spatial registration", "un recalage spatial"),
    ("a list of fiducials", "une liste de repères"),
    ("a deformable registration", "un recalage déformable"),
    ("a surface", "une surface"),
    ("raw data", "des données brutes"),
    ("a mapping of values", "une table de correspondance"),
    ("a parametric map", "une carte paramétrique"),
    ("a spectroscopy", "une spectroscopie"),
    ("a file without pixels", "un fichier sans pixels"),
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
