"""Checkpoints made by hand: whatever stands in one, with a right SHA-256 behind it, it is right or it is refused."""

import io
import re
import tracemalloc
import zipfile

import numpy as np
import pytest
from fuzz_checkpoints import npy, sealed

from minicnn.train import CheckpointError, load_checkpoint


def archive_of(pairs, how=zipfile.ZIP_STORED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", how) as archive:
        for name, content in pairs:
            archive.writestr(name, content)
    return sealed(stream.getvalue())


def state_text(state='{"a": {"$array": "a"}}'):
    return f'{{"format": "minicnn checkpoint 1", "state": {state}}}'


def npy_text(header, numbers=bytes(24)):
    return b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header.encode() + numbers


ARRAY_OF_3 = npy(np.ones(3))
HEADER_OF_3 = "{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }\n"


def refusal(tmp_path, content):
    (tmp_path / "made.npz").write_bytes(content)
    tracemalloc.start()
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(tmp_path / "made.npz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    message = str(caught.value)
    assert "made.npz" in message and "\n" not in message
    assert peak < 20 * len(content) + (4 << 20)
    return message


def test_what_is_made_by_hand_can_be_right(tmp_path):
    content = archive_of([("state.json", state_text()), ("a.npy", npy_text(HEADER_OF_3))])
    (tmp_path / "made.npz").write_bytes(content)
    np.testing.assert_array_equal(load_checkpoint(tmp_path / "made.npz")["a"], np.zeros(3))


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([], "a.npy is missing"),
        ([("b.npy", ARRAY_OF_3)], "a.npy is missing"),
        ([("a.npy", ARRAY_OF_3), ("b.npy", ARRAY_OF_3)], "1 of its members are not mentioned"),
        ([("a.npy", ARRAY_OF_3), ("../../a.npy", ARRAY_OF_3)], "1 of its members are not mentioned"),
        ([("a.npy", ARRAY_OF_3), ("a.npy", ARRAY_OF_3)], "two members have one name"),
        ([("a.npy", ARRAY_OF_3), ("state.json", state_text())], "two members have one name"),
        ([("a.npy", b"")], "a.npy is damaged"),
        ([("a.npy", ARRAY_OF_3[:-1])], "other bytes than an array"),
        ([("a.npy", ARRAY_OF_3 + b"x")], "other bytes than an array"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_that_do_not_fit(tmp_path, pairs, message):
    assert message in refusal(tmp_path, archive_of([("state.json", state_text()), *pairs]))


@pytest.mark.parametrize("how", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_nothing_is_unpacked(tmp_path, how):
    """30 MB of zeros become a few thousand bytes."""
    content = archive_of([("state.json", state_text()), ("a.npy", npy(np.zeros(1 << 22)))], how)
    assert len(content) < 1 << 17
    assert "is compressed" in refusal(tmp_path, content)


@pytest.mark.parametrize(
    "header",
    [
        HEADER_OF_3.replace("(3,)", "(1000000000000,)"),
        HEADER_OF_3.replace("(3,)", "(0, 9223372036854775807, 9223372036854775807)"),
        HEADER_OF_3.replace("(3,)", "(-3,)"),
        HEADER_OF_3.replace("(3,)", "(4,)"),
        HEADER_OF_3.replace("(3,)", f"({'1, ' * 99}3)"),
        HEADER_OF_3.replace("(3,)", f"({'9' * 19}, {'9' * 19})"),
        HEADER_OF_3.replace("<f8", "<f3"),
        HEADER_OF_3.replace("<f8", "|O"),
        HEADER_OF_3.replace("<f8", "<U2"),
        HEADER_OF_3.replace("'<f8'", "[('a', '<f8')]"),
        HEADER_OF_3.replace("}", "'more': 1}"),
        "__import__('os')._exit(1)",
        "(" * 9000,
        "",
    ],
)
def test_headers_that_promise_something_else(tmp_path, header):
    assert "member a.npy" in refusal(tmp_path, archive_of([("state.json", state_text()), ("a.npy", npy_text(header))]))


def test_booleans_are_true_or_false(tmp_path):
    header = HEADER_OF_3.replace("<f8", "|b1")
    for numbers, right in ((b"\0\1\1", True), (b"\0\2\1", False)):
        content = archive_of([("state.json", state_text()), ("a.npy", npy_text(header, numbers))])
        if right:
            (tmp_path / "made.npz").write_bytes(content)
            assert load_checkpoint(tmp_path / "made.npz")["a"].tolist() == [False, True, True]
        else:
            assert "neither true nor false" in refusal(tmp_path, content)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "state.json is damaged"),
        (b"\xff{}", "state.json is damaged"),
        ("[" * 200_000, "state.json is damaged"),
        (state_text("[" * 900 + "]" * 900), "deep|recursion"),
        (state_text("9" * 5000), "state.json is damaged"),
        (state_text('{"a": 1, "a": 2}'), "a key stands twice"),
        ("[]", "not of the form"),
        ('{"format": 1, "state": 2}', "not of the form"),
        ('{"format": "minicnn checkpoint 1"}', "not of the form"),
        ('{"format": "minicnn checkpoint 1", "state": 1, "more": 2}', "not of the form"),
        ('{"format": "minicnn checkpoint 2\\n", "state": 1}', r"is a minicnn checkpoint 2\\n, and this program reads"),
        (state_text('{"a": {"$array": "b"}}'), "names the array of a otherwise"),
        (state_text('{"a": {"$array": 1}}'), "names the array of a otherwise"),
        (state_text('{"a": {"$array": "a", "b": 1}}'), "names the array of a otherwise"),
        (state_text('{"$array": "a"}'), "names the array of  otherwise"),
        (state_text('{"b": {"a": {"$array": "a"}}}'), "names the array of b/a otherwise"),
        (state_text('["a"]'), "1 of its members are not mentioned"),
    ],
)
def test_states_that_do_not_fit(tmp_path, text, message):
    assert re.search(message, refusal(tmp_path, archive_of([("state.json", text), ("a.npy", ARRAY_OF_3)])))


def test_members_that_overlap(tmp_path):
    """One member's bytes are listed a hundred times."""
    content = archive_of([("state.json", state_text()), ("a.npy", npy(np.ones(500)))])[:-64]
    start = content.index(b"PK\1\2", content.index(b"PK\1\2") + 1)
    entry, end = content[start:].split(b"PK\5\6")
    entries = b"".join(entry.replace(b"a.npy", b"%05d" % i) for i in range(100))
    added = 99 + 1
    count, size = (2 + added).to_bytes(2, "little"), int.from_bytes(end[8:12], "little") + len(entries)
    end = b"PK\5\6" + end[:4] + count + count + size.to_bytes(4, "little") + end[12:]
    assert "larger than the file" in refusal(tmp_path, sealed(content[:start] + entry + entries + end))
