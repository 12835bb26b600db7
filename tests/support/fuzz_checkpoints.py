"""Damage the checkpoint of a run in thousands of ways, and go on from each: CheckpointError, or a run that goes on.

    python tests/support/fuzz_checkpoints.py --cases 5000 --seed 0

Bytes are flipped and cut off; and, each time with a right SHA-256 behind it, as anybody can make one, bytes are
flipped, members packed, doubled, renamed and left out, arrays and their headers replaced, and values of the state
exchanged for others of any kind. Each file is looked at, loaded, and given to a trainer. If it is refused, that must be
by a CheckpointError of one line that names the file, the trainer must be as it was, and no memory may have been asked
for that the file cannot fill; if not, the trainer must be able to train an epoch. Prints how many there were of each.
"""

import argparse
import collections
import contextlib
import copy
import hashlib
import io
import json
import random
import tempfile
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import numpy as np
from kill_and_resume import small_trainer

from minicnn.storage.checkpoint import ARRAY, HEADER
from minicnn.train import CheckpointError, TrainingError, is_checkpoint, load_checkpoint
from minicnn.train.restore import load_run
from minicnn.train.trainer import LAST

ODD_VALUES = [
    *(None, True, False, 0, 1, -1, 7, 2**31, 2**63, 2**64, -(2**70), 10**30, 10**400),
    *(0.0, 0.5, -1.5, 1e308, -1e-300, float("nan"), float("inf"), -float("inf")),
    *("", "x", "two\nlines", "\x1b[2J\0", "\udcff", "SGD", "x" * 5000, "../../etc/passwd", "1"),
    *([], [[]], [1], [None, None], ["a", 2], {}, {"a": 1}, {ARRAY: "x"}, {ARRAY: "model/0.weight", "b": 1}, {ARRAY: 5}),
]
ODD_ARRAYS = [
    *(np.zeros(0), np.zeros((0, 5)), np.array(3.5), np.ones(3), np.ones((2, 3, 4), np.float32), np.full(8, np.nan)),
    *(np.ones(8, np.float16), np.ones(8, bool), np.ones(8, np.int64), np.ones(8, complex), np.ones(8, ">f4")),
    *(np.array(["a", "b"]), np.array([b"ab"]), np.array([{}, None], object), np.zeros(8, "V4")),
    *(np.zeros(2, [("a", "f4")]), np.asfortranarray(np.ones((2, 3))), np.zeros(3, "M8[s]"), np.full(8, 1e300)),
]
ODD_HEADERS = [
    "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 9223372036854775807, 9223372036854775807), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (8,), 'more': 1, }",
    "{'descr': '<f0', 'fortran_order': False, 'shape': (8,), }",
    "{'descr': '<f99', 'fortran_order': False, 'shape': (8,), }",
    "{'descr': '|O', 'fortran_order': False, 'shape': (8,), }",
    f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({'1, ' * 70}), }}",
    "__import__('os').getpid()",
    "(" * 5000,
    "",
]
EVIL_NAMES = ["../../evil.npy", "/etc/passwd", "model/", "a\\b.npy", "evil\0.npy", "x" * 3000, "naïve.npy"]
TEXTS = [
    *(b"", b"{}", b"[]", b"null", b"\xff\xfe{\0", b"\xef\xbb\xbf{}", b"[" * 100_000, b'{"a":' * 3000, b"9" * 10_000),
    *(b'{"format": "minicnn checkpoint 2", "state": {}}', b'{"format": "minicnn checkpoint 1", "state": [1]}'),
    *(b'{"format": {}, "state": {}}', b'{"format": "minicnn checkpoint 1", "state": NaN}'),
]


class Members:
    """A checkpoint taken apart: the nested state, and {name: bytes} of the arrays."""

    def __init__(self, path):
        with zipfile.ZipFile(path) as archive:
            arrays = {name: archive.read(name) for name in archive.namelist()}
        self.header = json.loads(arrays.pop(HEADER))
        self.arrays = arrays

    def pack(self, text=None, pairs=None, how=zipfile.ZIP_STORED):
        """The bytes of a file of them, with a right SHA-256. text: instead of the state; pairs: instead of all."""
        text = json.dumps(self.header).encode() if text is None else text
        pairs = [(HEADER, text), *self.arrays.items()] if pairs is None else pairs
        stream = io.BytesIO()
        with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(stream, "w", how) as archive:  # doubled names
            for name, content in pairs:
                archive.writestr(name, content)
        return sealed(stream.getvalue())


def sealed(archive):
    return archive + hashlib.sha256(archive).hexdigest().encode()


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def places(value):
    """(container, key) of every value within the nesting."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in list(pairs):
        yield value, key
        yield from places(entry)


# The ways to damage it: (the file's bytes, its members, generator) -> the bytes of another file


def flip(content, members, choose):
    content = bytearray(content)
    for _ in range(choose.randint(1, 4)):
        content[choose.randrange(len(content))] ^= 1 << choose.randrange(8)
    return bytes(content)


def cut(content, members, choose):
    return content[: choose.randrange(len(content))]


def flip_and_seal(content, members, choose):
    """Most of a file is numbers; the list of members at its end, and what begins a member, say more."""
    content = bytearray(content[:-64])
    starts = [i for i in range(len(content)) if content[i : i + 2] == b"PK" or content[i : i + 6] == b"\x93NUMPY"]
    for _ in range(choose.randint(1, 3)):
        anywhere, near_a_start = choose.randrange(len(content)), choose.choice(starts) + choose.randrange(60)
        position = near_a_start if choose.random() < 0.7 else anywhere
        content[min(position, len(content) - 1)] ^= choose.choice([1 << choose.randrange(8), 255])
    return sealed(bytes(content))


def cut_and_seal(content, members, choose):
    start = choose.randrange(len(content) - 64)
    return sealed(content[:start] + content[start + choose.randrange(1, 400) : -64])


def exchange_values(content, members, choose):
    for _ in range(choose.randint(1, 3)):
        container, key = choose.choice(list(places(members.header)))
        other, other_key = choose.choice(list(places(members.header)))
        what = choose.randrange(5)
        if what == 0:
            del container[key]
        elif what == 1:
            container[key], other[other_key] = copy.deepcopy((other[other_key], container[key]))
        elif what == 2 and isinstance(container, dict):
            container["more"] = choose.choice(ODD_VALUES)
        else:
            container[key] = choose.choice(ODD_VALUES)
    return members.pack()


def exchange_arrays(content, members, choose):
    name = choose.choice(list(members.arrays))
    what = choose.randrange(4)
    if what == 0:
        members.arrays[name] = npy(choose.choice(ODD_ARRAYS))
    elif what == 1:  # of the right shape and not of the right kind
        with io.BytesIO(members.arrays[name]) as stream:
            array = np.load(stream)
        dtype = choose.choice([np.int8, bool, complex, object, "U4", "V4", ">f4", np.float64, np.float16])
        array = array.astype(dtype) if choose.random() < 0.7 else array * choose.choice([np.nan, np.inf])
        members.arrays[name] = npy(array)
    elif what == 2:
        header = choose.choice(ODD_HEADERS).encode()
        version = choose.choice([b"\1\0", b"\2\0", b"\3\0", b"\0\0", b"\xff\xff"])
        length = len(header).to_bytes(2 if version == b"\1\0" else 4, "little")
        members.arrays[name] = b"\x93NUMPY" + version + length + header + bytes(32)
    else:
        members.arrays[name] = members.arrays[name][: choose.randrange(len(members.arrays[name]))]
    return members.pack()


def exchange_members(content, members, choose):
    pairs = [(HEADER, json.dumps(members.header).encode()), *members.arrays.items()]
    i, what = choose.randrange(len(pairs)), choose.randrange(6)
    if what == 0:
        del pairs[i]
    elif what == 1:
        pairs.insert(choose.randrange(len(pairs) + 1), (pairs[i][0], choose.choice([pairs[i][1], b"", bytes(100)])))
    elif what == 2:
        pairs[i] = choose.choice(EVIL_NAMES), pairs[i][1]
    elif what == 3:
        pairs.append((choose.choice(EVIL_NAMES), npy(choose.choice(ODD_ARRAYS))))
    elif what == 4:
        choose.shuffle(pairs)
    else:
        pairs.append(("zeros.npy", npy(np.zeros(1 << choose.choice([10, 21])))))
    return members.pack(pairs=pairs, how=choose.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA]))


def exchange_text(content, members, choose):
    text = json.dumps(members.header).encode()
    what = choose.randrange(4)
    if what == 0:
        return members.pack(choose.choice(TEXTS))
    if what == 1:  # a key stands twice
        return members.pack(text.replace(b'"epoch": ', b'"epoch": 3, "epoch": ', 1))
    position = choose.randrange(len(text))
    more = choose.choice([b"\xff", b"\0", b"}", b"[", b'"', b"9" * 5000, b"NaN", b"-Infinity", b"\\ud800", b"1e999"])
    return members.pack(text[:position] + more + text[position + choose.randrange(2) :])


DAMAGES = [
    *(flip, cut, flip_and_seal, flip_and_seal, cut_and_seal),
    *(exchange_values, exchange_values, exchange_values, exchange_arrays, exchange_members, exchange_text),
]


class Fuzz:
    """The files of one seed, tried in `folder` one after another: of a run with AdamW where the seed is odd."""

    def __init__(self, folder, seed):
        self.folder, self.choose, self.adam = Path(folder), random.Random(seed), seed % 2 == 1
        self.path = self.folder / LAST
        with quiet():
            small_trainer(folder, epochs=2, adam=self.adam).fit()
        self.content, self.members = self.path.read_bytes(), Members(self.path)
        (self.folder / "log.csv").unlink()
        self.trainer = small_trainer(folder, adam=self.adam)
        self.untouched = fingerprint(self.trainer)
        self.counts = collections.Counter()

    def try_one(self):
        """AssertionError, or what has come through, if a damaged file does not end as it should."""
        damage = self.choose.choice(DAMAGES)
        content = damage(self.content, copy.deepcopy(self.members), self.choose)
        self.path.write_bytes(content)
        assert is_checkpoint(self.path) in (True, False)
        with quiet():
            refused = self.refused()
            if not refused:
                self.go_on()
        self.counts[f"{damage.__name__}, {'refused' if refused else 'gone on from'}"] += 1

    def refused(self):
        """Whether there was a CheckpointError; it must be in order."""
        try:
            self.load(load_checkpoint, limit=40 * len(self.path.read_bytes()) + (4 << 20))
            self.trainer.load_state_dict(load_run(self.path), self.path)
        except CheckpointError as error:
            assert str(self.path) in str(error) and "\n" not in str(error), error
            assert fingerprint(self.trainer) == self.untouched, f"refused, and yet changed something: {error}"
            return True
        return False

    def load(self, function, limit):
        tracemalloc.start()
        try:
            function(self.path)
        finally:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < limit, f"{peak} bytes of memory for a file of {len(self.path.read_bytes())}"

    def go_on(self):
        self.trainer.epochs = self.trainer.epoch + 1
        with contextlib.suppress(TrainingError):  # of large numbers
            self.trainer.fit()
        for path in self.folder.iterdir():
            path.unlink()
        self.trainer = small_trainer(self.folder, adam=self.adam)


def fingerprint(trainer):
    """The whole state, for comparison."""

    def plain(value):
        if isinstance(value, dict):
            return {key: plain(entry) for key, entry in value.items()}
        if isinstance(value, list):
            return [plain(entry) for entry in value]
        return np.asarray(value).tobytes() if hasattr(value, "dtype") else value

    return plain(trainer.state_dict()), trainer.epoch, trainer.batch, dict(trainer.train_loader.bad)


@contextlib.contextmanager
def quiet():
    with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
        yield


def fuzz(cases, seed):
    """Returns {what: how often}. At the first file that does not end as it should, the error tells its number."""
    with tempfile.TemporaryDirectory() as folder:
        files = Fuzz(folder, seed)
        for case in range(cases):
            try:
                files.try_one()
            except BaseException as error:
                error.add_note(f"file {case} of seed {seed}")
                raise
    return files.counts


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    counts = fuzz(arguments.cases, arguments.seed)
    for what in sorted(counts):
        print(f"{counts[what]:6} {what}")
    print(f"{sum(counts.values())} files, seed {arguments.seed}: each was refused in one line, or gone on from")
