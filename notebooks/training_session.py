# %% [markdown]
# # A training session for practitioners
#
# Two hours, for up to twelve people who will read scans with medseg. Whoever leads it runs this notebook; the participants sit before the page,
# each with an account of their own. The cases are heads that nobody has, so that
# the truth is known and nobody's scan is shown. The manual's page for clinicians (`/manual/clinicians`, `/manual/clinicians.fr`) is the handout.
#
# | minutes | what | how |
# |--:|---|---|
# | 0 to 15 | what it is, and what it is not | talk: four answers, research only, what Dice and doubt mean |
# | 15 to 35 | the page | everybody signs in, opens the volume and scrolls through it |
# | 35 to 75 | the cases | everybody alone, without talking: a verdict for each |
# | 75 to 85 | pause | |
# | 85 to 105 | what came of it | together: where did you differ from the truth, where did medseg? |
# | 105 to 120 | the quiz | on paper first, then together |
#
# Run it on a medseg of your own: it makes accounts, and asks for verdicts.

# %%
import os
import secrets

from client import WORK, Medseg, Refused, phantom

medseg = Medseg()
UNATTENDED = bool(os.environ.get("NOTEBOOKS_QUICK"))
PARTICIPANTS = 2 if UNATTENDED else int(os.environ.get("PARTICIPANTS", "12"))

# %% [markdown]
# ## Before it begins: accounts
#
# Hand these out on paper. A verdict is one person's word: no two share an account.

# %%
accounts = {}
for number in range(1, PARTICIPANTS + 1):
    name, password = f"trainee-{number}-{secrets.token_hex(2)}", secrets.token_urlsafe(12)
    medseg.call("POST", "users", json={"user_name": name, "password": password, "roles": ["clinician"]})
    accounts[name] = password
    print(f"{medseg.url}   {name}   {password}")

# %% [markdown]
# ## Before it begins: the cases
#
# Participants see only the number. What is in a case stays here.

# %%
CASES = [
    # What it is for, the file, and what the phantom is made with.
    ("a plain one: where, how large, which side?", "a.dcm", ["--format", "dicom", "--slices", "1", "--seed", "41"]),
    ("none: would you have sent a patient home on this?", "b.png", ["--seed", "42", "--no-lesion"]),
    ("a volume: scroll, and look where it is largest", "c.nii.gz", ["--format", "nifti", "--lesion-ml", "20", "--size", "128"]),
    ("small, in thick slices: is the size believable?", "d.nii.gz", ["--format", "nifti", "--lesion-ml", "2", "--seed", "44", "--size", "128"]),
    ("a PNG: in which unit is it, and which side is which?", "e.png", ["--seed", "45"]),
    ("a healthy volume: nothing is marked, or is it?", "f.nii.gz", ["--format", "nifti", "--no-lesion", "--seed", "46", "--size", "128"]),
]

cases = []
for number, (purpose, name, made) in enumerate(CASES, start=1):
    lesion = phantom(name, *made)["lesion"]
    scan = medseg.send((WORK / name).read_bytes(), reference=f"case {number}")
    answer = medseg.result(scan)["answer"]
    truth = "tumour" if lesion else "no_tumour"
    cases.append({"number": number, "scan": scan, "truth": truth, "answer": answer, "lesion": lesion, "purpose": purpose})
    print(f"case {number}: {medseg.url}/#/scans/{scan}")
assert all(case["answer"] in ("found", "none_found") for case in cases)

# %% [markdown]
# ## And two that do not get in
#
# Let somebody send them, and read out what the page says: why, and what to do about it. A refusal says nothing about a patient.

# %%
phantom("thumbnail.png", "--size", "32", "--no-lesion")
for name, data in (("a letter.dcm", b"Dear colleague, thank you for sending us ...\n" * 20), ("thumbnail.png", (WORK / "thumbnail.png").read_bytes())):
    try:
        medseg.send(data)
        raise AssertionError(f"{name} was taken for a scan")
    except Refused as refused:
        print(f"{name}: {refused.problem['title']}. {refused.problem['detail']}")

# %% [markdown]
# ## Minute 75: are all verdicts there?
#
# Nobody has seen what others said before they had said something themselves. Only you do, as an administrator.

# %%
SAYS = {"found": "tumour", "none_found": "no_tumour"}

if UNATTENDED:
    # Two participants: one who knows, and one who agrees with everything.
    for (name, password), knows in zip(accounts.items(), (True, False)):
        reader = Medseg(name, password)
        for case in cases:
            assert all(word["reader"] == name for word in reader.get(f"scans/{case['scan']}/feedback")["feedback"]), "not blind"
            agrees = not knows or SAYS[case["answer"]] == case["truth"]
            word = {"verdict": "agree"} if agrees else {"verdict": "reject", "truth": case["truth"]}
            reader.say(case["scan"], **word)


def believed(word, answer):
    """Whether there is a tumour, by that word."""
    if word["verdict"] == "unsure":
        return None
    return word["truth"] or (SAYS[answer] if word["verdict"] == "agree" else "tumour" if word["verdict"] == "correct" else None)


def words_of(case):
    """The latest word of each participant of today."""
    said = medseg.get(f"scans/{case['scan']}/feedback")["feedback"]
    latest = {}
    for word in reversed(said):
        latest[word["reader"]] = word
    return {reader: word for reader, word in latest.items() if reader in accounts}


for case in cases:
    print(f"case {case['number']}: {len(words_of(case))} of {PARTICIPANTS} verdicts")

# %% [markdown]
# ## Minute 85: what came of it
#
# Go through the cases where participants, or medseg, are not where the truth is. Ask first what one saw, and then what it was. Nobody's name is
# read out.

# %%
for case in cases:
    judged = [believed(word, case["answer"]) for word in words_of(case).values()]
    right = sum(one == case["truth"] for one in judged)
    lesion = case["lesion"]
    what = f"a lesion of {lesion['volume_ml']:.1f} mL, largest in slice {lesion['slice'] + 1}" if lesion else "no lesion"
    print(f"case {case['number']}, {case['purpose']}")
    print(f"   in truth {what}; medseg: {case['answer']} ({'right' if SAYS[case['answer']] == case['truth'] else 'WRONG'}); right: {right} of {len(judged)}")

misled = [case for case in cases if SAYS[case["answer"]] != case["truth"]]
followed = sum(believed(word, case["answer"]) != case["truth"] for case in misled for word in words_of(case).values())
print(f"{followed} verdicts went wrong where medseg did: whoever follows a program against their own eyes has automation bias.")

# %% [markdown]
# ## Minute 105: the quiz
#
# Each question has one right answer. Read it out with the reason. `QUIZ_LANGUAGE=fr` asks in French.

# %%
QUIZ = [
    ("The answer is 'None found'. What does it say?", ["There is no tumour", "All of the scan was analysed, and nothing was marked", "The image is bad"], 1,
     "It does not rule out a tumour."),
    ("The answer is 'Not analysable'. What do you do?", ["Read the scan as if medseg were not there", "Tell the patient that all is well", "Send it until it is analysed"], 0,
     "It says nothing about the patient; the reason says why no model here may judge it."),
    ("A region has a mean probability of 90 %. That is", ["the chance that it is a tumour", "about the part of it that is tumour", "how well the outline fits"], 1,
     "How well the outline fits is told by the expected Dice."),
    ("The picture says 'side unknown'. You", ["trust the side in the list", "assume that the patient's right is at the left", "find the side elsewhere, or do without"], 2,
     "The file does not say which way the patient lies."),
    ("You want to see what a colleague said of a scan. First you", ["give your own verdict", "ask them", "ask an administrator"], 0,
     "A verdict that follows another tells nothing new, so others' are hidden until then."),
    ("You gave a wrong verdict. You", ["ask for it to be deleted", "say something else: both stay", "leave it"], 1,
     "The latest word counts; nothing is overwritten."),
    ("The outline misses a part. You", ["agree: it is roughly right", "correct: mark the place that was missed", "reject"], 1,
     "A correction shows what is right; that is what a next model can learn from."),
    ("Sizes are given in pixels. Why?", ["The lesion is small", "The file does not say how large a pixel is", "The model is not sure"], 1,
     "Only DICOM and NIfTI say it."),
    ("In the note you write", ["the patient's name", "what you saw, without names", "nothing: it is not read"], 1,
     "Notes are read by others and may teach a model; whose scan it is is kept apart."),
    ("May a treatment rest on what medseg says?", ["Yes, where it is sure", "Yes, where the outline fits", "No: research use only"], 2,
     "It is no medical device. A radiologist must confirm what it marks."),
]

# The same questions in the same order, with their choices and reasons.
FRENCH = [
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
]
IN_FRENCH = [(*asked, answer, reason) for (*asked, reason), (_, _, answer, _) in zip(FRENCH, QUIZ, strict=True)]
assert all(len(choices) == 3 for _, choices, _, _ in [*QUIZ, *IN_FRENCH])
if os.environ.get("QUIZ_LANGUAGE") == "fr":
    QUIZ = IN_FRENCH

for number, (question, choices, _, _) in enumerate(QUIZ, start=1):
    print(f"{number}. {question}")
    for letter, choice in zip("abc", choices):
        print(f"   {letter}) {choice}")

# %% [markdown]
# ## Marks
#
# Put in the letters of one sheet: `marks("bababbbbbc")`. Eight of ten are enough; with less, read the handout again, and take the cases once more
# in a week.

# %%


def marks(letters):
    """How many are right; what is not is explained."""
    right = 0
    for number, (letter, (question, choices, answer, reason)) in enumerate(zip(letters, QUIZ, strict=True), start=1):
        if "abc".index(letter) == answer:
            right += 1
        else:
            print(f"{number}. {question} {choices[answer]}. {reason}")
    return right


key = "".join("abc"[answer] for _, _, answer, _ in QUIZ)
assert marks(key) == len(QUIZ)
assert marks("a" * len(QUIZ)) < 8, "who always says a would pass"

# %% [markdown]
# ## After it
#
# The accounts stay: give them new passwords (`medseg user reset-password`), or to their owners. The verdicts stay, too, and would count in live
# quality; that is why this is no hospital's medseg. What participants found hard to
# do in the page is worth a report (**Report a problem**).
