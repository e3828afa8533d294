"""The page of what was checked: a row for each check, as HTML for people and as JSON for programs."""

import base64
import html
import json
from dataclasses import asdict, dataclass

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


@dataclass
class Row:
    """One check: what was looked at, where the standard asks for it, whose program looked, and how it went."""

    what: str
    standard: str
    client: str
    outcome: str
    words: str
    seconds: float


STYLE = """body { font: 16px/1.4 sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100% } th, td { border: 1px solid #888; padding: .3rem .5rem; text-align: left; vertical-align: top }
.passed { background: #dff0d8 } .failed { background: #f2c4c4 } .skipped { background: #fdf3cf } img { max-width: 100%; border: 1px solid #888 }"""


def counts(rows):
    return {outcome: sum(row.outcome == outcome for row in rows) for outcome in (PASSED, FAILED, SKIPPED)}


def as_json(about, rows):
    return json.dumps({**about, "counts": counts(rows), "checks": [asdict(row) for row in rows]}, indent=2) + "\n"


def figure(title, png):
    """A picture within the page, which so is one file."""
    encoded = base64.b64encode(png).decode()
    return f'<figure><img src="data:image/png;base64,{encoded}" alt="{html.escape(title)}"><figcaption>{html.escape(title)}</figcaption></figure>'


def as_html(about, rows, pictures):
    def cells(tag, texts):
        return "".join(f"<{tag}>{html.escape(text)}</{tag}>" for text in texts)

    def line(row):
        told = cells("td", (row.what, row.standard, row.client, row.outcome, row.words, f"{row.seconds:.1f}"))
        return f'<tr class="{row.outcome}">{told}</tr>'

    told = ", ".join(f"{count} {outcome}" for outcome, count in counts(rows).items())
    versions = "".join(f"<li>{html.escape(name)} {html.escape(version)}</li>" for name, version in about["versions"].items())
    head = cells("th", ("what", "standard", "by", "outcome", "in words", "s"))
    body = "\n".join(map(line, rows))
    shown = "\n".join(figure(title, png) for title, png in pictures)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>medseg: connectathon</title><style>{STYLE}</style></head><body>\n'
        f"<h1>What other software has checked of medseg</h1>\n<p>{html.escape(about['at'])}: {told}.</p>\n"
        "<p>One study, made by a program and of nobody, went through all of these systems on one machine. It is no certificate of IHE and no "
        f"test of a clinical installation.</p>\n<ul>{versions}</ul>\n<table><tr>{head}</tr>\n{body}\n</table>\n{shown}</body></html>\n"
    )
