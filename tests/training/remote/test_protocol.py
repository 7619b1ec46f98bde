"""The pure parts of the remote teacher: protocol, circuit breaker, privacy, model signature."""

import contextlib
import json

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.remote.circuit_breaker import ByteBudget, CircuitBreaker, CircuitBreakerOptions
from training.remote.oip_v2 import (
    DATATYPES,
    ProtocolError,
    Request,
    RequestedOutput,
    Response,
    decode_request,
    decode_response,
    encode_request,
    encode_response,
)
from training.remote.privacy import Box, box_around, grey, paste, shrink
from training.remote.server.model import (
    Limits,
    decode_jpeg,
    jpeg_size,
    model_metadata,
    picture_of,
    response_of,
    timeout_of,
)
from training.remote.signature import read_signature

# -- bytes to tensors ------------------------------------------------------------------------------------------------


def tensors():
    rng = np.random.default_rng(0)
    for datatype, dtype in DATATYPES.items():
        if datatype == "BYTES":
            tensor = np.empty((2, 1), np.object_)
            tensor[:, 0] = [b"", b"grey \x00 room"]
        else:
            tensor = rng.integers(0, 2, (2, 1, 3)).astype(dtype)
        yield datatype, tensor


@pytest.mark.parametrize(("datatype", "tensor"), list(tensors()))
def test_every_datatype_survives_both_ways(datatype, tensor):
    body, length = encode_request(Request({"a": tensor, "b": tensor}, (RequestedOutput("x", True),), "7", {"side": 3}))
    request = decode_request(body, str(length))
    assert (request.id, request.outputs, request.parameters) == ("7", (RequestedOutput("x", True),), {"side": 3})
    assert json.loads(body[:length])["inputs"][0]["datatype"] == datatype
    for name in "ab":
        assert request.inputs[name].dtype == tensor.dtype
        assert request.inputs[name].tolist() == tensor.tolist()
    body, length = encode_response(Response({"a": tensor}, "7", "m"), ["a"])
    assert decode_response(body, str(length)).outputs["a"].tolist() == tensor.tolist()


def test_tensors_may_travel_as_json_nested_or_flat():
    entry = {"name": "a", "datatype": "FP32", "shape": [2, 2]}
    for data in ([1, 2, 3, 4.5], [[1, 2], [3, 4.5]]):
        body = json.dumps({"inputs": [{**entry, "data": data}]}).encode()
        assert decode_request(body, None).inputs["a"].tolist() == [[1, 2], [3, 4.5]]
    body, length = encode_response(Response({"a": np.ones((1, 2), np.float32)}), [])
    assert length == len(body)
    assert json.loads(body)["outputs"][0]["data"] == [1, 1]


def entry(**changes):
    return {"name": "a", "datatype": "UINT8", "shape": [2], "parameters": {"binary_data_size": 2}} | changes


@pytest.mark.parametrize(
    ("inputs", "rest", "complaint"),
    [
        ([entry(shape=[3])], b"ab", "has 2 bytes, expected 3"),
        ([entry(shape=[-2])], b"ab", "has the shape"),
        ([entry(shape=[1e3])], b"ab", "has the shape"),
        ([entry(shape=[True])], b"ab", "has the shape"),
        ([entry(shape=[1] * 9)], b"ab", "at most 8"),
        ([entry(shape=[2**62, 2**62])], b"ab", "expected 2126"),
        ([entry(datatype="COMPLEX")], b"ab", "has the datatype 'COMPLEX'"),
        ([entry(name=3)], b"ab", "name is 3"),
        ([entry(parameters=[])], b"ab", "parameters is not an object"),
        ([entry(parameters={"binary_data_size": 3})], b"ab", "and 2 bytes are left"),
        ([entry(parameters={"binary_data_size": -1})], b"ab", "binary_data_size -1"),
        ([entry()], b"abc", "1 bytes belong to no tensor"),
        ([entry(parameters={})], b"", "neither data nor binary_data_size"),
        ([entry(parameters={}, data=["x", "y"])], b"", "are no UINT8"),
        ([entry(parameters={}, data=[1, 300])], b"", "are no UINT8"),
        ([entry(parameters={}, data=[1])], b"", "has 1 values, expected 2"),
        ([entry(datatype="BYTES", shape=[1])], b"ab", "where a length of 4"),
        ([entry(datatype="BYTES", shape=[1], parameters={"binary_data_size": 5})], b"\xff\xff\xff\xffa", "1 are left"),
        ({"a": 1}, b"", "inputs is not a list"),
    ],
)
def test_what_is_not_the_protocol_is_refused_by_name(inputs, rest, complaint):
    head = json.dumps({"inputs": inputs}).encode()
    with pytest.raises(ProtocolError, match=complaint):
        decode_request(head + rest, str(len(head)) if rest else None)


@pytest.mark.parametrize("header", ["", "-1", "0", "x", "99999", "1e3", "²"])
def test_a_header_that_lies_about_the_json_is_refused(header):
    with pytest.raises(ProtocolError, match="Inference-Header-Content-Length is"):
        decode_request(b"{}", header)


@given(st.binary(max_size=200), st.one_of(st.none(), st.integers(0, 200).map(str)))
def test_whatever_comes_it_is_a_protocol_error_or_a_request(body, header):
    for decode in (decode_request, decode_response):
        with contextlib.suppress(ProtocolError):
            decode(body, header)


def test_json_without_a_bottom_is_refused():
    with pytest.raises(ProtocolError, match="no JSON"):
        decode_request(b"[" * 100_000, None)


# -- circuit breaker -------------------------------------------------------------------------------------------------


def test_a_breaker_opens_after_failures_in_a_row_and_lets_one_trial_through_at_a_time():
    breaker = CircuitBreaker(CircuitBreakerOptions(failures=2, first_delay=1, max_delay=5, jitter=0))
    breaker.record_failure(0, 0)
    assert breaker.allows(0)
    breaker.record_failure(0, 0)
    assert [breaker.allows(t) for t in (0, 0.9, 1)] == [False, False, True]
    breaker.record_failure(1, 0)  # the trial
    assert [breaker.allows(t) for t in (2.9, 3)] == [False, True]
    assert breaker.record_success()
    assert breaker.allows(3)
    assert not breaker.record_success()


def test_the_delay_grows_to_its_limit_and_starts_small_again_after_a_success():
    breaker, now, delays = (
        CircuitBreaker(CircuitBreakerOptions(failures=1, first_delay=1, max_delay=5, jitter=0)),
        0.0,
        [],
    )
    for _ in range(40):
        breaker.record_failure(now, 0)
        delays.append(breaker.open_until - now)
        now = breaker.open_until
    assert delays[:5] == [1, 2, 4, 5, 5]
    assert delays[-1] == 5
    breaker.record_success()
    breaker.record_failure(now, 0)
    assert breaker.open_until - now == 1


def test_the_jitter_spreads_callers_and_retry_after_is_respected_up_to_the_limit():
    breaker = CircuitBreaker(CircuitBreakerOptions(failures=1, first_delay=1, max_delay=5, jitter=0.5))
    breaker.record_failure(0, 0.999)
    assert 0.5 <= breaker.open_until < 0.51
    breaker.record_failure(0, 0, at_least=4)
    assert breaker.open_until == 4
    breaker.record_failure(0, 0, at_least=3600)
    assert breaker.open_until == 5


def test_learning_resumes_within_five_seconds_of_a_servers_return():
    assert CircuitBreakerOptions().max_delay <= 4


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(1, 200_000)), max_size=60), st.floats(1000, 1e6))
def test_the_budget_holds_its_average_whatever_is_sent(messages, rate):
    budget, now, spent, last = ByteBudget(rate), 0.0, 0, 0
    for pause, size in messages:
        now += pause
        if budget.allows(now):
            budget.spend(size, now)
            spent, last = spent + size, size
        assert spent - last <= rate * (now + 1) + 1e-3  # one message may overdraw, and one second be saved up


def test_a_message_larger_than_a_seconds_budget_passes_and_is_paid_back():
    budget = ByteBudget(1000)
    assert budget.allows(0)
    budget.spend(5000, 0)
    assert [budget.allows(t) for t in (1, 4, 4.1)] == [False, False, True]


# -- privacy ---------------------------------------------------------------------------------------------------------


def test_a_box_has_a_margin_and_a_label_inside_it_comes_back_to_its_place():
    label = np.zeros((40, 80), np.float32)
    label[10:30, 20:40] = 1
    box = box_around(label)
    assert box == Box(15 / 80, 5 / 40, 45 / 80, 35 / 40)
    rows, columns = box.pixels(label.shape)
    assert np.array_equal(paste(label[rows, columns], box, label.shape), label)
    assert box_around(np.zeros((40, 80), np.float32)) is None


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 50), st.integers(1, 50))
def test_a_box_always_holds_a_pixel_and_stays_inside(left, top, height, width):
    rows, columns = Box(left, top, min(left + 0.01, 1), min(top + 0.01, 1)).pixels((height, width))
    assert 0 <= rows.start < rows.stop <= height
    assert 0 <= columns.start < columns.stop <= width


def test_grey_has_no_colour_and_shrinking_keeps_the_shape():
    picture = np.random.default_rng(0).integers(0, 256, (30, 61, 3), np.uint8)
    without = grey(picture)
    assert (without == without[..., :1]).all()
    assert shrink(picture, 20).shape == (10, 20, 3)
    assert shrink(picture, 100) is picture


# -- model signature ---------------------------------------------------------------------------------------------------


def described(*ports, output=("mask", "FP32", [1, 1, 4, 6])):
    def listed(rows):
        return [dict(zip(("name", "datatype", "shape"), row, strict=True)) for row in rows]

    return {"name": "m", "platform": "onnxruntime_onnx", "inputs": listed(ports), "outputs": listed([output])}


PICTURE = np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8)
RGB = PICTURE[..., ::-1]


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        (("x", "UINT8", [-1, -1, 3]), RGB),
        (("x", "UINT8", [-1, -1, -1, 3]), RGB[None]),
        (("x", "UINT8", [3, -1, -1]), RGB.transpose(2, 0, 1)),
        (("x", "FP32", [1, 3, 8, 12]), RGB.transpose(2, 0, 1)[None] / np.float32(255)),
        (("x", "FP16", [8, 12, 3]), (RGB / np.float32(255)).astype(np.float16)),
    ],
)
def test_pixels_take_the_shape_that_a_foreign_model_wants(port, expected):
    request = read_signature(described(port), "raw").request(PICTURE, "0", quality=85, colour=True, within=2.0)
    assert request.inputs["x"].dtype == expected.dtype
    assert np.array_equal(request.inputs["x"], expected)
    assert request.parameters == {}


def test_a_fixed_size_is_met():
    signature = read_signature(described(("x", "FP32", [1, 3, 32, 20])), "jpeg")
    assert signature.request(PICTURE, "0", quality=85, colour=True, within=2.0).inputs["x"].shape == (1, 3, 32, 20)


def test_jpeg_is_preferred_or_avoided_as_asked_and_grey_is_grey_inside():
    metadata = model_metadata("m")
    assert read_signature(metadata, "raw").datatype == "UINT8"
    signature = read_signature(metadata, "jpeg")
    assert (signature.datatype, signature.output) == ("BYTES", "label_u8")
    data = signature.request(grey(PICTURE), "0", quality=85, colour=False, within=2.0).inputs["jpeg"][0]
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED).shape == (8, 12)


@pytest.mark.parametrize("shape", [(4, 6), (1, 4, 6), (1, 1, 4, 6), (4, 6, 1), (1, 4, 6, 1)])
def test_a_mask_comes_back_from_any_shape_that_holds_one(shape):
    signature = read_signature(described(("x", "UINT8", [-1, -1, 3])), "raw")
    assert signature.label(Response({"mask": np.full(shape, 0.5, np.float32)})).shape == (4, 6)
    assert signature.label(Response({"mask": np.full(shape, 255, np.uint8)})).max() == 1


@pytest.mark.parametrize(
    "mask",
    [
        np.zeros((2, 4, 6), np.float32),
        np.zeros((0, 6), np.float32),
        np.full((4, 6), np.nan, np.float32),
        np.full((4, 6), 7, np.float32),
        np.zeros((4, 6), np.int64),
        np.zeros(6, np.float32),
    ],
)
def test_what_is_no_mask_is_refused(mask):
    signature = read_signature(described(("x", "UINT8", [-1, -1, 3])), "raw")
    with pytest.raises(ProtocolError, match="mask"):
        signature.label(Response({"mask": mask}))
    with pytest.raises(ProtocolError, match="the answer has other; expected mask"):
        signature.label(Response({"other": mask}))


@pytest.mark.parametrize(
    "metadata",
    [{}, {"inputs": 3, "outputs": []}, described(("x", "INT64", [1])), described(("x", "UINT8", [5])), described()],
)
def test_a_model_that_takes_no_picture_is_refused(metadata):
    with pytest.raises(ProtocolError, match=r"expected a picture|has no inputs"):
        read_signature(metadata, "jpeg")


@pytest.mark.parametrize("shape", [[4097, 8, 3], [8, 4097, 3], [1, 3, 8, 4097], [3, 2**40, -1]])
def test_a_model_that_wants_pictures_larger_than_4096_is_refused(shape):
    with pytest.raises(ProtocolError, match="at most 4096x4096 are sent"):
        read_signature(described(("x", "UINT8", shape)), "raw")
    assert read_signature(described(("x", "UINT8", [4096, 4096, 3])), "raw").shape == (4096, 4096, 3)


# -- the model that is served ----------------------------------------------------------------------------------------


def jpeg(shape=(8, 12, 3)):
    return cv2.imencode(".jpg", np.zeros(shape, np.uint8))[1].tobytes()


@pytest.mark.parametrize("flags", [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 1)])
def test_a_jpegs_size_is_read_before_it_is_unpacked(flags):
    data = cv2.imencode(".jpg", np.zeros((37, 51, 3), np.uint8), flags)[1].tobytes()
    assert jpeg_size(data) == (37, 51)
    assert decode_jpeg(data, 37 * 51).shape == (37, 51, 3)
    with pytest.raises(ProtocolError, match="37x51 pixels; at most 100"):
        decode_jpeg(data, 100)


@given(st.binary(max_size=60))
def test_no_bytes_make_the_decoder_fail_otherwise(data):
    for candidate in (data, b"\xff\xd8" + data, jpeg()[:-30] + data):
        with contextlib.suppress(ProtocolError):
            decode_jpeg(candidate, 10_000)


def test_an_invalid_picture_is_refused_with_what_is_expected():
    limits = Limits(pixels=100)
    image = np.zeros((4, 6, 3), np.uint8)
    for request, complaint in [
        (Request({}), "the inputs are none"),
        (Request({"image": image, "jpeg": image}), "the inputs are image, jpeg"),
        (Request({"image": image[..., :2]}), r"image is uint8 \(4, 6, 2\)"),
        (Request({"image": image.astype(np.float32)}), "image is float32"),
        (Request({"image": np.zeros((40, 60, 3), np.uint8)}), "40x60 pixels; at most 100"),
        (Request({"jpeg": image}), "expected BYTES"),
        (Request({"image": image}, (RequestedOutput("alpha", True),)), "there is no output 'alpha'"),
    ]:
        with pytest.raises(ProtocolError, match=complaint):
            picture_of(request, limits)
    with pytest.raises(ProtocolError, match="label_side is -3"):
        response_of(Request({"image": image}, parameters={"label_side": -3}), np.zeros((4, 6), np.float32), "m")


def test_how_long_a_caller_waits_is_microseconds_and_at_most_what_our_own_callers_may_ask_for():
    assert timeout_of(Request({})) == timeout_of(Request({}, parameters={"timeout": 10**9})) == 4.0
    assert timeout_of(Request({}, parameters={"timeout": 250_000})) == 0.25
    for nonsense in (0, "2", 1.5, True):
        with pytest.raises(ProtocolError, match=f"timeout is {nonsense!r}; expected a number of microseconds"):
            timeout_of(Request({}, parameters={"timeout": nonsense}))


def test_the_answer_holds_what_was_asked_for_as_it_was_asked_for():
    label = np.linspace(0, 1, 24, dtype=np.float32).reshape(4, 6)
    response, binary = response_of(
        Request({}, (RequestedOutput("label_u8", True), RequestedOutput("label", False)), "5"), label, "m"
    )
    assert binary == {"label_u8"}
    assert np.array_equal(response.outputs["label"], label)
    assert np.array_equal(response.outputs["label_u8"], np.rint(label * 255))
    response, binary = response_of(Request({}, parameters={"label_side": 3}, binary=True), label, "m")
    assert response.outputs["label"].shape == (2, 3)
    assert binary == {"label", "label_u8"}
