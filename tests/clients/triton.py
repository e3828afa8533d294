"""triton.py URL PASSWORD: asks the bare model with Triton's own client, over HTTP and gRPC, as it comes from its package.

The medseg at URL serves `threshold:`, which marks what is brighter than the brain around it.
"""

import json
import sys
from urllib.parse import urlencode
from urllib.request import urlopen

import grpc
import numpy as np
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

URL, PASSWORD = sys.argv[1:]
ADDRESS = URL.removeprefix("http://")
MODEL = "threshold"
SIDE = 256
TILES = 5


def check(holds, words):
    if not holds:
        sys.exit(f"error: tritonclient: {words}")


def signed_in():
    fields = {"grant_type": "password", "username": "admin", "password": PASSWORD}
    token = json.load(urlopen(f"{URL}/v1/token", urlencode(fields).encode()))["access_token"]
    return {"authorization": f"Bearer {token}"}


def tiles():
    """Prepared slices: air, a brain, and in each but the first something bright, another place each; and where that is."""
    rows, columns = np.mgrid[:SIDE, :SIDE] - SIDE // 2
    brain = rows**2 + columns**2 < 100**2
    values, bright = np.full((TILES, SIDE, SIDE, 1), -1, np.float32), np.zeros((TILES, SIDE, SIDE), bool)
    for index in range(TILES):
        values[index, brain] = 0
        if index:
            bright[index] = (rows - 10 * index) ** 2 + (columns + 12 * index) ** 2 < 12**2
        values[index, bright[index]] = 2
    return values, bright


def inputs(client, values, **form):
    tile = client.InferInput("tile", list(values.shape), "FP32")
    tile.set_data_from_numpy(values, **form)
    return [tile]


def refusal(words, ask):
    """What the server says where it refuses, which must contain `words`."""
    try:
        ask()
    except InferenceServerException as error:
        check(words in error.message(), f"{error} says nothing of {words}")
        return
    sys.exit(f"error: tritonclient: nothing is refused where {words} was expected")


def look_at(face, result, bright):
    probability = result.as_numpy("probability")
    check(probability.shape == bright.shape, f"{face}: the shape is {probability.shape}")
    check(probability.dtype == np.float32, f"{face}: the values are {probability.dtype}")
    check(probability[bright].mean() > 0.5, f"{face}: what is bright is not marked")
    check(probability[~bright].mean() < 0.05, f"{face}: more is marked than what is bright")
    return probability


def use(face, client, server, headers):
    """Everything that the protocol has, and what it refuses; the answer."""
    values, bright = tiles()
    check(server.is_server_live() and server.is_server_ready(), f"{face}: health is not told to anybody")
    check(server.is_model_ready(MODEL, headers=headers), f"{face}: the model is not ready")
    form = {"as_json": True} if client is tritonclient.grpc else {}
    check(server.get_server_metadata(headers=headers, **form)["name"] == "medseg", f"{face}: another server")
    about = server.get_model_metadata(MODEL, headers=headers, **form)
    shape = [int(length) for length in about["inputs"][0]["shape"]]
    check(shape == [-1, SIDE, SIDE, 1], f"{face}: the input's shape is {shape}")
    result = server.infer(MODEL, inputs(client, values), headers=headers, request_id="seven")
    answer = result.get_response()
    known = answer["id"] if isinstance(answer, dict) else answer.id
    check(known == "seven", f"{face}: the answer is to another request")
    probability = look_at(face, result, bright)
    version = about["versions"][0]
    asked = [client.InferRequestedOutput("probability")]
    by_name = server.infer(
        MODEL, inputs(client, values), model_version=version, outputs=asked, headers=headers, parameters={"mirrored": True}
    )
    check(np.array_equal(by_name.as_numpy("probability"), probability), f"{face}: asked by name, it answers otherwise")

    refusal("bearer token", lambda: server.infer(MODEL, inputs(client, values)))
    refusal("`unknown`", lambda: server.infer("unknown", inputs(client, values), headers=headers))
    refusal("version `0`", lambda: server.infer(MODEL, inputs(client, values), model_version="0", headers=headers))
    refusal("[N, side, side, 1]", lambda: server.infer(MODEL, inputs(client, values[:, :64]), headers=headers))
    refusal("no number", lambda: server.infer(MODEL, inputs(client, values * np.float32("nan")), headers=headers))
    refusal("no output `mask`", lambda: server.infer(
        MODEL, inputs(client, values), outputs=[client.InferRequestedOutput("mask")], headers=headers))
    return probability


def by_http(headers):
    client = tritonclient.http
    with client.InferenceServerClient(ADDRESS, concurrency=4) as server:
        # The client writes into the headers that it is given: the length of one request's JSON must not go with the next.
        probability = use("http", client, server, dict(headers))
        values, _ = tiles()
        asked = [client.InferRequestedOutput("probability", binary_data=False)]
        as_json = server.infer(MODEL, inputs(client, values[:2], binary_data=False), outputs=asked, headers=dict(headers))
        check(np.array_equal(as_json.as_numpy("probability"), probability[:2]), "http: JSON answers otherwise than bytes")
        calls = [server.async_infer(MODEL, inputs(client, values[i : i + 1]), headers=dict(headers)) for i in range(TILES)]
        together = np.concatenate([call.get_result().as_numpy("probability") for call in calls])
        check(np.allclose(together, probability, atol=1e-5), "http: calls at once answer otherwise")
    return probability


def by_grpc(headers):
    client = tritonclient.grpc
    with client.InferenceServerClient(ADDRESS) as server:
        probability = use("grpc", client, server, headers)
        large = np.zeros((257, SIDE, SIDE, 1), np.float32)
        refusal("too large", lambda: server.infer(MODEL, inputs(client, large), headers=headers))
    return probability


def others_are_closed(headers):
    """Of all that speaks gRPC in the process, the world is answered by the bare model alone."""
    with grpc.insecure_channel(ADDRESS) as channel:
        for method in ["/medseg.storage.v1.Scans/List", "/medseg.auth.v1.Auth/Keys"]:
            try:
                channel.unary_unary(method)(b"", metadata=list(headers.items()), timeout=30)
                sys.exit(f"error: {method} is open to the world")
            except grpc.RpcError as error:
                check(error.code() == grpc.StatusCode.UNIMPLEMENTED, f"{method}: {error}")


token = signed_in()
check(np.array_equal(by_http(token), by_grpc(token)), "the two faces answer otherwise")
others_are_closed(token)
print("clients: tritonclient: http and grpc")
