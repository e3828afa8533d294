"""What the training session says, in one table for each language."""

# Which choice is right, question by question: the same in every language.
RIGHT = "babcabbbbc"

ENGLISH = {
    "case": "case {number}",
    "purposes": [
        "a plain one: where, how large, which side?",
        "none: would you have sent a patient home on this?",
        "a volume: scroll, and look where it is largest",
        "small, in thick slices: is the size believable?",
        "a PNG: in which unit is it, and which side is which?",
        "a healthy volume: nothing is marked, or is it?",
    ],
    "verdicts": "case {number}: {count} of {all} verdicts",
    "lesion": "a lesion of {ml} mL, largest in slice {slice}",
    "no lesion": "no lesion",
    "answers": {"found": "found", "none_found": "none found"},
    "right": "right",
    "wrong": "WRONG",
    "outcome": "   in truth {truth}; medseg: {answer} ({verdict}); right: {right} of {all}",
    "followed": "{count} verdicts went wrong where medseg did: whoever follows a program against their own eyes has automation bias.",
    "point": ".",
    "quiz": [
        ("The answer is 'None found'. What does it say?", ["There is no tumour", "All of the scan was analysed, and nothing was marked", "The image is bad"],
         "It does not rule out a tumour."),
        ("The answer is 'Not analysable'. What do you do?", ["Read the scan as if medseg were not there", "Tell the patient that all is well", "Send it until it is analysed"],
         "It says nothing about the patient; the reason says why no model here may judge it."),
        ("A region has a mean probability of 90 %. That is", ["the chance that it is a tumour", "about the part of it that is tumour", "how well the outline fits"],
         "How well the outline fits is told by the expected Dice."),
        ("The picture says 'side unknown'. You", ["trust the side in the list", "assume that the patient's right is at the left", "find the side elsewhere, or do without"],
         "The file does not say which way the patient lies."),
        ("You want to see what a colleague said of a scan. First you", ["give your own verdict", "ask them", "ask an administrator"],
         "A verdict that follows another tells nothing new, so others' are hidden until then."),
        ("You gave a wrong verdict. You", ["ask for it to be deleted", "say something else: both stay", "leave it"],
         "The latest word counts; nothing is overwritten."),
        ("The outline misses a part. You", ["agree: it is roughly right", "correct: mark the place that was missed", "reject"],
         "A correction shows what is right; that is what a next model can learn from."),
        ("Sizes are given in pixels. Why?", ["The lesion is small", "The file does not say how large a pixel is", "The model is not sure"],
         "Only DICOM and NIfTI say it."),
        ("In the note you write", ["the patient's name", "what you saw, without names", "nothing: it is not read"],
         "Notes are read by others and may teach a model; whose scan it is is kept apart."),
        ("May a treatment rest on what medseg says?", ["Yes, where it is sure", "Yes, where the outline fits", "No: research use only"],
         "It is no medical device. A radiologist must confirm what it marks."),
    ],
}

FRENCH = {
    "case": "cas {number}",
    "purposes": [
        "un cas simple : où, quelle taille, quel côté ?",
        "rien : auriez-vous renvoyé un patient chez lui sur cette réponse ?",
        "un volume : faites défiler, et regardez où c'est le plus grand",
        "petite, en coupes épaisses : la taille est-elle croyable ?",
        "un PNG : dans quelle unité, et quel côté est lequel ?",
        "un volume sain : rien n'est marqué, ou bien si ?",
    ],
    "verdicts": "cas {number} : {count} avis sur {all}",
    "lesion": "une lésion de {ml} mL, la plus grande dans la coupe {slice}",
    "no lesion": "pas de lésion",
    "answers": {"found": "trouvé", "none_found": "rien trouvé"},
    "right": "juste",
    "wrong": "FAUX",
    "outcome": "   en vérité {truth} ; medseg : {answer} ({verdict}) ; justes : {right} sur {all}",
    "followed": "{count} avis se sont trompés là où medseg se trompait : qui suit un programme contre ses propres yeux cède au biais d'automatisation.",
    "point": ",",
    "quiz": [
        ("La réponse est « Rien trouvé ». Que dit-elle ?", ["Il n'y a pas de tumeur", "Tout l'examen a été analysé et rien n'a été marqué", "L'image est mauvaise"],
         "Elle n'exclut pas une tumeur."),
        ("La réponse est « Non analysable ». Que faites-vous ?", ["Lire l'examen comme si medseg n'existait pas", "Dire au patient que tout va bien", "L'envoyer jusqu'à ce qu'il soit analysé"],
         "Elle ne dit rien du patient ; la raison dit pourquoi aucun modèle d'ici ne peut le juger."),
        ("Une région a une probabilité moyenne de 90 %. C'est", ["la chance qu'elle soit une tumeur", "à peu près la part de la région qui est tumorale", "la justesse du contour"],
         "La justesse du contour, c'est le Dice attendu qui la dit."),
        ("L'image dit « Côté inconnu ». Vous", ["vous fiez au côté de la liste", "supposez que la droite du patient est à gauche", "cherchez le côté ailleurs, ou vous en passez"],
         "Le fichier ne dit pas comment le patient est couché."),
        ("Vous voulez voir ce qu'un collègue a dit d'un examen. D'abord, vous", ["donnez votre propre avis", "lui demandez", "demandez à un administrateur"],
         "Un avis qui en suit un autre n'apprend rien ; ceux des autres sont donc cachés jusque-là."),
        ("Vous avez donné un avis faux. Vous", ["demandez qu'il soit effacé", "dites autre chose : les deux restent", "n'y touchez plus"],
         "Le dernier avis compte ; rien n'est écrasé."),
        ("Le contour manque une partie. Vous", ["êtes d'accord : c'est à peu près juste", "corrigez : marquez l'endroit manqué", "rejetez"],
         "Une correction montre ce qui est juste ; c'est de cela qu'un prochain modèle peut apprendre."),
        ("Les tailles sont en pixels. Pourquoi ?", ["La lésion est petite", "Le fichier ne dit pas la taille d'un pixel", "Le modèle n'est pas sûr"],
         "Seuls DICOM et NIfTI la disent."),
        ("Dans la note, vous écrivez", ["le nom du patient", "ce que vous avez vu, sans nom", "rien : personne ne la lit"],
         "D'autres lisent les notes, et un modèle peut en apprendre ; de qui est l'examen est gardé à part."),
        ("Un traitement peut-il reposer sur ce que dit medseg ?", ["Oui, là où il est sûr", "Oui, là où le contour est juste", "Non : pour la recherche seulement"],
         "Ce n'est pas un dispositif médical. Un radiologue doit confirmer ce qu'il marque."),
    ],
}

WORDS = {"en": ENGLISH, "fr": FRENCH}

assert ENGLISH.keys() == FRENCH.keys()
for said in WORDS.values():
    assert len(said["quiz"]) == len(RIGHT) and len(said["purposes"]) == len(ENGLISH["purposes"])
    assert all(len(choices) == 3 for _, choices, _ in said["quiz"])
