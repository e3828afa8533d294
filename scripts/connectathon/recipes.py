"""The settings that the manual shows (docs/manual/recipes.md), with the addresses of this run: what is documented is what is run."""

import json
import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs/manual/recipes.md"


def shown(name, /, **changes):
    """The JSON that stands below that name, with other values for some of its fields."""
    found = re.search(rf"^\*\*`{re.escape(name)}`\*\*\n+```json\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    if not found:
        raise SystemExit(f"error: {PAGE.name} has no settings below `{name}`")
    return {**json.loads(found[1]), **changes}


def viewer(url):
    """OHIF's app-config, for the medseg at `url`; without its notice that it is not for clinical use, which lies over the picture."""
    found = re.search(r"^## OHIF$.*?^```js\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    if not found:
        raise SystemExit(f"error: {PAGE.name} has no app-config for OHIF")
    return found[1].replace("https://medseg.example", url) + "window.config.investigationalUseDialog = { option: 'never' };\n"


def senders(client, reports):
    """The table of senders, in the name of that API client."""
    table = shown("senders.json")
    for sender in table["senders"]:
        sender |= {"addresses": ["127.0.0.1"], "client_id": client["client_id"], "client_secret": client["client_secret"]}
        if "report_to" in sender:
            sender["report_to"] = f"127.0.0.1:{reports}"
    return table


def orthanc(folder, plugin, http_port, dicom_port, medseg_port):
    """Orthanc's configuration, on ports and a folder of its own."""
    made = shown("orthanc.json", StorageDirectory=folder, IndexDirectory=folder, Plugins=[plugin])
    made |= {"HttpPort": int(http_port), "DicomPort": int(dicom_port)}
    made["DicomModalities"]["medseg"] |= {"Host": "127.0.0.1", "Port": int(medseg_port)}
    return made
