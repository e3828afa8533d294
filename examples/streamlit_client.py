"""A whole client of medseg in a page: `MEDSEG_URL=http://127.0.0.1:8080 streamlit run examples/streamlit_client.py`."""

import hashlib
import os
import time

import requests
import streamlit as st


def call(method, path, **what):
    answer = requests.request(method, f"{os.environ['MEDSEG_URL']}/v1/{path}", timeout=60, **what)
    if not answer.ok:
        st.error(answer.json()["detail"])
        st.stop()
    return answer


st.title("medseg")
st.warning("For research use, not for diagnosis.")
user, password = st.text_input("User name"), st.text_input("Password", type="password")
file = st.file_uploader("A scan: DICOM, NIfTI, an image, or a zip of the slices of one series")
if not (user and password and file):
    st.stop()
form = {"grant_type": "password", "username": user, "password": password}
token = {"authorization": f"Bearer {call('POST', 'token', data=form).json()['access_token']}"}
# Streamlit runs all of this again at each click: under the same key the scan is found, and not sent twice.
key = {"idempotency-key": hashlib.sha256(file.getvalue()).hexdigest()}
scan = call("POST", "scans", data=file.getvalue(), headers=token | key).json()
with st.spinner("Analysing"):
    while scan["state"] != "done":
        time.sleep(0.2)
        scan = call("GET", f"scans/{scan['id']}", headers=token).json()
result = call("GET", f"scans/{scan['id']}/result", headers=token).json()
st.header(result["answer"].replace("_", " ").capitalize())
st.write(result.get("reason") or "")
if result["answer"] in ("found", "none_found"):
    st.image(call("GET", f"scans/{scan['id']}/overlay.png", headers=token).content)
for finding in result["findings"]:
    sizes = [f"{finding[name]['length']:.1f}" for name in ("longest_diameter", "perpendicular_diameter")]
    st.write(f"Region {finding['label']}: {' x '.join(sizes)} {finding['unit']}, mean probability {finding['confidence']:.0%}")
if fit := result.get("expected_dice"):
    st.write(f"Expected overlap with a radiologist's outline (Dice): {fit['dice']:.2f}, {fit['interval'][0]:.2f} to {fit['interval'][1]:.2f}")
st.caption(" ".join([result.get("limits") or "", *result.get("quality", {}).get("remarks", [])]))
verdict = st.radio("Your verdict", ["agree", "reject", "unsure"], index=None)
if verdict and st.button("Send the verdict"):
    call("POST", f"scans/{scan['id']}/feedback", json={"verdict": verdict}, headers=token)
    st.success("The verdict is kept.")
