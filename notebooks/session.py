"""What the training session for practitioners does, for its notebooks, one in each language; `session_words` has what is said.

NOTEBOOKS_QUICK runs it unattended, with two participants; PARTICIPANTS says how many there are otherwise.
"""

import os
import secrets

from client import WORK, Medseg, Refused, phantom
from session_words import RIGHT, WORDS

# The file of each case, and what the phantom is made with, in the order of its purposes.
CASES = [
    ("a.dcm", ["--format", "dicom", "--slices", "1", "--seed", "41"]),
    ("b.png", ["--seed", "42", "--no-lesion"]),
    ("c.nii.gz", ["--format", "nifti", "--lesion-ml", "20", "--size", "128"]),
    ("d.nii.gz", ["--format", "nifti", "--lesion-ml", "2", "--seed", "44", "--size", "128"]),
    ("e.png", ["--seed", "45"]),
    ("f.nii.gz", ["--format", "nifti", "--no-lesion", "--seed", "46", "--size", "128"]),
]
SAYS = {"found": "tumour", "none_found": "no_tumour"}


class Session:
    """One session, led by whoever MEDSEG_USER is, an administrator."""

    def __init__(self, language):
        self.words = WORDS[language]
        self.medseg = Medseg()
        self.unattended = bool(os.environ.get("NOTEBOOKS_QUICK"))
        self.accounts = {}
        self.cases = []

    def make_accounts(self):
        """An account for each participant, to be handed out on paper."""
        for number in range(1, self._participants() + 1):
            name, password = f"trainee-{number}-{secrets.token_hex(2)}", secrets.token_urlsafe(12)
            self.medseg.call("POST", "users", json={"user_name": name, "password": password, "roles": ["clinician"]})
            self.accounts[name] = password
            print(f"{self.medseg.url}   {name}   {password}")

    def make_cases(self):
        """The scans. Participants are told the number only."""
        for number, (purpose, (name, made)) in enumerate(zip(self.words["purposes"], CASES, strict=True), start=1):
            lesion = phantom(name, *made)["lesion"]
            called = self.words["case"].format(number=number)
            # The same reference in each language: a file that was sent before is the same scan, and is not sent about another.
            scan = self.medseg.send((WORK / name).read_bytes(), reference=f"{number}/{len(CASES)}")
            answer = self.medseg.result(scan)["answer"]
            truth = "tumour" if lesion else "no_tumour"
            self.cases.append({"number": number, "scan": scan, "truth": truth, "answer": answer, "lesion": lesion, "purpose": purpose})
            print(f"{called}: {self.medseg.url}/#/scans/{scan}")
        assert all(case["answer"] in SAYS for case in self.cases)

    def show_refusals(self):
        """Two files that are no scans, and what is said of them. The API speaks English; the page, its reader's language."""
        phantom("thumbnail.png", "--size", "32", "--no-lesion")
        letter = b"Dear colleague, thank you for sending us ...\n" * 20
        for name, data in (("a letter.dcm", letter), ("thumbnail.png", (WORK / "thumbnail.png").read_bytes())):
            try:
                self.medseg.send(data)
            except Refused as refused:
                print(f"{name}: {refused.problem['title']}. {refused.problem['detail']}")
            else:
                raise AssertionError(f"{name} was taken for a scan")

    def count_verdicts(self):
        """How many have judged each case."""
        if self.unattended:
            self._judge()
        for case in self.cases:
            said = {"number": case["number"], "count": len(self._latest(case)), "all": len(self.accounts)}
            print(self.words["verdicts"].format(**said))

    def show_outcomes(self):
        """What came of each case, and how often participants went wrong with medseg."""
        for case in self.cases:
            self._show_outcome(case)
        misled = [case for case in self.cases if SAYS[case["answer"]] != case["truth"]]
        followed = sum(believed(word, case["answer"]) != case["truth"] for case in misled for word in self._latest(case).values())
        print(self.words["followed"].format(count=followed))

    def ask(self):
        """The quiz."""
        for number, (question, choices, _) in enumerate(self.words["quiz"], start=1):
            print(f"{number}. {question}")
            for letter, choice in zip("abc", choices):
                print(f"   {letter}) {choice}")

    def marks(self, letters):
        """How many of one sheet's letters are right; what is not is explained."""
        right = 0
        for number, (letter, correct, (question, choices, reason)) in enumerate(zip(letters, RIGHT, self.words["quiz"], strict=True), start=1):
            if letter == correct:
                right += 1
            else:
                print(f"{number}. {question} {choices['abc'.index(correct)]}. {reason}")
        return right

    def _participants(self):
        return 2 if self.unattended else int(os.environ.get("PARTICIPANTS", "12"))

    def _judge(self):
        """Two participants: one who knows, and one who agrees with everything."""
        for (name, password), knows in zip(self.accounts.items(), (True, False)):
            reader = Medseg(name, password)
            for case in self.cases:
                said = reader.get(f"scans/{case['scan']}/feedback")["feedback"]
                assert all(word["reader"] == name for word in said), "not blind"
                agrees = not knows or SAYS[case["answer"]] == case["truth"]
                word = {"verdict": "agree"} if agrees else {"verdict": "reject", "truth": case["truth"]}
                reader.say(case["scan"], **word)

    def _latest(self, case):
        """The latest word of each participant of today."""
        said = self.medseg.get(f"scans/{case['scan']}/feedback")["feedback"]
        latest = {word["reader"]: word for word in reversed(said)}
        return {reader: word for reader, word in latest.items() if reader in self.accounts}

    def _show_outcome(self, case):
        judged = [believed(word, case["answer"]) for word in self._latest(case).values()]
        lesion, says = case["lesion"], self.words
        truth = says["no lesion"]
        if lesion:
            truth = says["lesion"].format(ml=f"{lesion['volume_ml']:.1f}".replace(".", says["point"]), slice=lesion["slice"] + 1)
        outcome = {
            "truth": truth,
            "answer": says["answers"][case["answer"]],
            "verdict": says["right"] if SAYS[case["answer"]] == case["truth"] else says["wrong"],
            "right": sum(one == case["truth"] for one in judged),
            "all": len(judged),
        }
        print(f"{says['case'].format(number=case['number'])}, {case['purpose']}")
        print(says["outcome"].format(**outcome))


def believed(word, answer):
    """Whether there is a tumour, by that word."""
    if word["verdict"] == "unsure":
        return None
    return word["truth"] or (SAYS[answer] if word["verdict"] == "agree" else "tumour" if word["verdict"] == "correct" else None)
