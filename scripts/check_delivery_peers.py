"""The systems that check-delivery.sh has results pushed to, each of a library that hospitals use. PYTHONPATH names it.

check_delivery_peers.py archive PORT FOLDER: a pynetdicom archive. It has no room for the first object, and takes no Basic Text SR.
check_delivery_peers.py searched PORT STORED: whether dcmtk's dcmqrscp, once it is searched, has just the objects that lie in the folder STORED.
check_delivery_peers.py systems MLLP_PORT HTTP_PORT FOLDER: an HL7 receiver of the package hl7, which refuses the first message, and a
    FHIR server that reads transactions with fhir.resources. It executes the first one and never says so.

What they keep lies in FOLDER, under names that tell what was sent twice.
"""

import asyncio
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

OUT_OF_RESOURCES = 0xA700
# Segmentation, Comprehensive 3D SR, Secondary Capture; not Basic Text SR.
CLASSES = ["1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.7"]


def archive(port, folder):
    from pynetdicom import AE, evt

    full = [True]

    def store(event):
        if full:
            full.pop()
            return OUT_OF_RESOURCES
        data_set = event.dataset
        data_set.file_meta = event.file_meta
        path = Path(folder) / f"{data_set.SOPInstanceUID}.dcm"
        # What comes a second time is seen by its count.
        with (Path(folder) / "stored.txt").open("a") as kept:
            kept.write(f"{data_set.SOPInstanceUID} {event.assoc.requestor.ae_title}\n")
        data_set.save_as(path, enforce_file_format=True)
        return 0x0000

    entity = AE(ae_title="ARCHIVE")
    entity.add_supported_context("1.2.840.10008.1.1")
    for sop_class in CLASSES:
        # Nothing but the default transfer syntax.
        entity.add_supported_context(sop_class, "1.2.840.10008.1.2")
    entity.start_server(("127.0.0.1", int(port)), evt_handlers=[(evt.EVT_C_STORE, store)])


def searched(port, stored):
    """By C-FIND, series by series, as a workstation does."""
    from pydicom import Dataset, dcmread
    from pynetdicom import AE
    from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as FIND

    def wanted(level, **keys):
        asked = Dataset()
        asked.QueryRetrieveLevel = level
        for name, value in keys.items():
            setattr(asked, name, value)
        answers = [(status.Status, found) for status, found in association.send_c_find(asked, FIND) if status]
        if not answers or answers[-1][0] != 0x0000:
            sys.exit(f"error: dcmqrscp answers a search for {level} with {answers[-1:]}")
        return [found for status, found in answers if found is not None]

    sent = [dcmread(path, stop_before_pixels=True) for path in Path(stored).iterdir()]
    workstation = AE(ae_title="WORKSTATION")
    workstation.add_requested_context(FIND)
    association = workstation.associate("127.0.0.1", int(port), ae_title="DCMQRSCP")
    if not association.is_established:
        sys.exit("error: dcmqrscp lets nobody search it")
    study, found = str(sent[0].StudyInstanceUID), set()
    for series in wanted("SERIES", StudyInstanceUID=study, SeriesInstanceUID="", Modality=""):
        uid = series.SeriesInstanceUID
        for image in wanted("IMAGE", StudyInstanceUID=study, SeriesInstanceUID=uid, SOPInstanceUID=""):
            found.add((series.Modality, image.SOPInstanceUID))
    association.release()
    expected = {(file.Modality, file.SOPInstanceUID) for file in sent}
    if found != expected:
        sys.exit(f"error: dcmqrscp has {sorted(found)}, and was sent {sorted(expected)}")


class Server(BaseHTTPRequestHandler):
    kept, folder = {}, None
    silent = [True]

    def do_POST(self):
        from fhir.resources.R4B.bundle import Bundle

        body = self.rfile.read(int(self.headers["content-length"]))
        told = json.loads(body)
        bundle = Bundle.model_validate(told)
        ok = bundle.type == "transaction" and self.headers["authorization"] == "Bearer of the server"
        entries = []
        for entry in bundle.entry:
            # As a server does: made where there is none of it.
            self.kept.setdefault(entry.request.ifNoneExist, entry.request.url)
            ok = ok and entry.request.method == "POST"
            entries.append({"response": {"status": "201 Created"}})
        (Path(self.folder) / "fhir.json").write_text(json.dumps({"kept": self.kept, "ok": ok, "bundle": told}))
        if self.silent:
            self.silent.pop()
            self.close_connection = True
            return
        answer = json.dumps({"resourceType": "Bundle", "type": "transaction-response", "entry": entries}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/fhir+json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def systems(mllp_port, http_port, folder):
    from hl7.mllp import start_hl7_server

    Server.folder = folder
    http = ThreadingHTTPServer(("127.0.0.1", int(http_port)), Server)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    received = []

    async def take(reader, writer):
        message = await reader.readmessage()
        received.append(str(message))
        (Path(folder) / "hl7.json").write_text(json.dumps(received))
        writer.writemessage(message.create_ack("AE" if len(received) == 1 else "AA"))
        await writer.drain()
        writer.close()

    async def serve():
        server = await start_hl7_server(take, "127.0.0.1", int(mllp_port), encoding="utf-8")
        (Path(folder) / "ready").touch()
        async with server:
            await server.serve_forever()

    asyncio.run(serve())


if __name__ == "__main__":
    {"archive": archive, "searched": searched, "systems": systems}[sys.argv[1]](*sys.argv[2:])
