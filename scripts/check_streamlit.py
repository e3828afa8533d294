"""check_streamlit.py SCAN: whether the example client in Streamlit goes from sign-in to verdict, as somebody would click.

MEDSEG_URL, MEDSEG_USER and MEDSEG_PASSWORD say where medseg answers, and for whom. PYTHONPATH names Streamlit. Asked for by
check-notebooks.sh.
"""

import io
import os
import pathlib
import sys
from unittest import mock

from streamlit.testing.v1 import AppTest

PAGE = pathlib.Path(__file__).resolve().parents[1] / "examples/streamlit_client.py"


def shown(page, words):
    """Runs the page, and says what went wrong on it."""
    page.run()
    if page.exception or words not in page_text(page):
        sys.exit(f"error: streamlit: no {words!r}: {[one.value for one in page.exception]} {page_text(page)}")


def page_text(page):
    parts = (page.header, page.error, page.warning, page.success, page.markdown, page.caption)
    return " | ".join(str(one.value) for part in parts for one in part)


def main():
    scan = pathlib.Path(sys.argv[1]).read_bytes()
    page = AppTest.from_file(str(PAGE), default_timeout=60)
    shown(page, "not for diagnosis")
    # What a browser would bring.
    with mock.patch("streamlit.file_uploader", return_value=io.BytesIO(scan)):
        page.text_input[0].set_value(os.environ["MEDSEG_USER"])
        page.text_input[1].set_value("not the password")
        shown(page, "password")
        page.text_input[1].set_value(os.environ["MEDSEG_PASSWORD"])
        shown(page, "ound")
        page.radio[0].set_value("unsure")
        shown(page, "ound")
        page.button[0].click()
        shown(page, "The verdict is kept.")
    print("streamlit: from sign-in to verdict")


if __name__ == "__main__":
    main()
