"""Files of weights changed at random, by bytes and by structure: each is read, or refused by a WeightsError.

python tests/support/fuzz_weights.py --seed 0 --count 20000

Checksums within a file are made right again after a change of structure, so that what lies behind them is reached. The
process has little more memory than it begins with, and each file ten seconds. Prints what became of how many files of
each kind; exit code 1, with the first that did otherwise left beside it, if any did.
"""

import argparse
import collections
import hashlib
import io
import json
import pickle
import pickletools
import random
import signal
import struct
import sys
import tempfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
from pickles import SIX, archive, contents, crafted, op, tensor, text

from minicnn.pretrained import WeightsError, is_checkpoint, read_weights
from minicnn.pretrained.kinds import MAGIC
from minicnn.train import save_checkpoint

SPARE = 400 << 20  # bytes of address space beyond what the process has at first
SECONDS = 10
NUMBERS = [0, 1, -1, 2, 7, 2**31 - 1, 2**31, 2**32, 2**62, 2**63 - 1, 2**63, 2**64, 10**12, -(2**63)]
VALUES = [*NUMBERS, None, True, "", "x", 0.5, 1e308, [], {}, [1, 2], {"a": 1}]
STATE = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "a.bias": np.ones(2, np.float32)}


def weight_files():
    """{kind: a small file of it}."""
    start = b"".join(pickle.dumps(part, 2) for part in (MAGIC, 1001, {"little_endian": True}))
    value = op("PROTO", b"\x02") + op("EMPTY_DICT") + text("weight") + tensor() + op("SETITEM") + op("STOP")
    legacy = start + value + pickle.dumps(["0"], 2) + struct.pack("<q", 6) + SIX
    arrays = io.BytesIO()
    np.savez(arrays, **STATE)
    with tempfile.TemporaryDirectory() as folder:
        save_checkpoint(Path(folder) / "c", {"model": STATE, "settings": {"arch": "resnet20"}, "classes": ["x"]})
        checkpoint = (Path(folder) / "c").read_bytes()
    wrapped = op("EMPTY_DICT") + text("state_dict") + op("EMPTY_DICT") + text("module.w") + tensor() + op("SETITEM")
    wrapped += op("SETITEM") + op("STOP")
    return {
        "pth": crafted(tensor()),
        "wrapped": archive({"a/data.pkl": wrapped, "a/data/0": SIX, "a/byteorder": b"little"}),
        "legacy": legacy,
        "npz": arrays.getvalue(),
        "checkpoint": checkpoint,
        "safetensors": safetensors(STATE),
    }


def safetensors(state):
    header, data = {}, b""
    for key, array in state.items():
        header[key] = {"dtype": "F32", "shape": array.shape, "data_offsets": (len(data), len(data) + array.nbytes)}
        data += array.tobytes()
    return with_header(header, data)


def with_header(header, data):
    encoded = json.dumps(header).encode()
    return struct.pack("<Q", len(encoded)) + encoded + data


# Changes


def by_bytes(rng, content, others):
    """A few bits, bytes or runs of bytes are changed, lost, repeated, or taken from another file."""
    content = bytearray(content)
    for _ in range(rng.randint(1, 3)):
        if not content:
            break
        i = rng.randrange(len(content))
        j = min(len(content), i + rng.choice([1, 2, 4, 8, 50]))
        kind = rng.randrange(7)
        if kind == 0:
            content[i] ^= 1 << rng.randrange(8)
        elif kind == 1:
            content[i] = rng.randrange(256)
        elif kind == 2:
            content[i:j] = (rng.choice(NUMBERS) % 2**64).to_bytes(8, "little")[: j - i]
        elif kind == 3:
            del content[i:j]
        elif kind == 4:
            content[i:i] = content[i:j]
        elif kind == 5:
            content[i:j] = rng.choice(others)[i:j]
        else:
            del content[i:]
    return bytes(content)


def of_pickle(rng, content):
    """The instructions of a pickle, some of them lost, repeated, exchanged or replaced."""
    try:
        places = [position for _, _, position in pickletools.genops(content)]
    except Exception:  # it has been changed before
        return by_bytes(rng, content, [content])
    parts = [content[i:j] for i, j in zip(places, [*places[1:], len(content)], strict=True)]
    for _ in range(rng.randint(1, 3)):
        i, j = rng.randrange(len(parts)), rng.randrange(len(parts))
        kind = rng.randrange(4)
        if kind == 0:
            parts[i] = b""
        elif kind == 1:
            parts.insert(i, parts[j])
        elif kind == 2:
            parts[i], parts[j] = parts[j], parts[i]
        else:
            parts[i] = pickle.dumps(rng.choice(VALUES), 2)[2:-1]
    return b"".join(parts)


def of_json(rng, value):
    """The value with one thing in it replaced, lost or added."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        key = rng.choice(list(value))
        changed = dict(value)
        if rng.random() < 0.15:
            changed[rng.choice(["", "x", "$array", "a/b", key + "x"])] = changed.pop(key)
        else:
            changed[key] = of_json(rng, value[key])
        return changed
    if isinstance(value, (list, tuple)) and value and rng.random() < 0.8:
        i = rng.randrange(len(value))
        return [*value[:i], of_json(rng, value[i]), *value[i + 1 :]]
    return rng.choice(VALUES)


def of_array(rng, content):
    """A .npy file whose header says something else."""
    shape = ", ".join(str(rng.choice(NUMBERS)) for _ in range(rng.randint(0, 3)))
    dtype = rng.choice(["<f4", ">f8", "|O", "<c8", "|b1", "<f2", "|V9", "<U5", "<f16", "|u1", "<M8"])
    order = rng.choice([True, False])
    header = f"{{'descr': '{dtype}', 'fortran_order': {order}, 'shape': ({shape}{',' if shape else ''}), }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content[-rng.choice([1, 8, 24]) :]


def by_structure(rng, kind, content, others):
    """A part of the file is changed, and what vouches for it made right again."""
    if kind == "safetensors":
        (length,) = struct.unpack("<Q", content[:8])
        return with_header(of_json(rng, json.loads(content[8 : 8 + length])), content[8 + length :])
    if kind == "legacy":
        return of_pickle(rng, content)
    members = contents(content)
    name = rng.choice(list(members))
    if rng.random() < 0.1:
        members[rng.choice(["x", "state.json", "a/data.pkl", "b/data.pkl", "a.npy", "../a.npy"])] = members.pop(name)
    elif rng.random() < 0.05:
        del members[name]
    elif name.endswith(".json"):
        members[name] = json.dumps(of_json(rng, json.loads(members[name]))).encode()
    elif name.endswith(".pkl"):
        members[name] = of_pickle(rng, members[name])
    elif name.endswith(".npy") and rng.random() < 0.7:
        members[name] = of_array(rng, members[name])
    else:
        members[name] = by_bytes(rng, members[name], others)
    changed = archive(members, rng.choice([zipfile.ZIP_STORED] * 5 + [zipfile.ZIP_DEFLATED]))
    return changed + hashlib.sha256(changed).hexdigest().encode() if kind == "checkpoint" else changed


# What becomes of them


class TooLong(BaseException):
    """No Exception, lest it be taken for one of the file's."""


def too_long(number, frame):
    raise TooLong


def outcome(path, content):
    """ "read", or "refused"; anything else is raised."""
    path.write_bytes(content)
    is_checkpoint(path)
    try:
        state = read_weights(path)
    except WeightsError as error:
        if isinstance(error.__cause__, MemoryError):
            raise error.__cause__ from error
        if str(path) not in str(error) or not str(error).isprintable():
            raise AssertionError(f"a message that is none: {error!r}") from error
        return "refused"
    for key, array in state.items():
        if isinstance(array, np.ndarray) and array.nbytes > 2 * len(content):
            raise AssertionError(f"{key} has {array.nbytes} bytes out of a file of {len(content)}")
    return "read"


def fuzz(seed, count, folder):
    """Counter of (kind, outcome) over `count` files; the file that failed, weights.failed, stays in `folder`."""
    files, found = weight_files(), collections.Counter()
    others, path = list(files.values()), Path(folder) / "weights"
    signal.signal(signal.SIGALRM, too_long)
    for kind, content in files.items():
        if outcome(path, content) != "read":
            raise AssertionError(f"the unchanged {kind} is refused")
    for number in range(count):
        rng = random.Random(f"{seed} {number}")
        kind = rng.choice(list(files))
        content = files[kind]
        if rng.random() < 0.5:
            content = by_structure(rng, kind, content, others)
        if rng.random() < 0.5 or content == files[kind]:
            content = by_bytes(rng, content, others)
        signal.alarm(SECONDS)
        try:
            found[kind, outcome(path, content)] += 1
        except BaseException:
            failed = path.with_name("weights.failed")
            failed.write_bytes(content)
            print(f"file {number} of seed {seed}, a changed {kind}, kept as {failed}:", file=sys.stderr)
            raise
        finally:
            signal.alarm(0)
    return found


def limit_memory():
    """Allow this process SPARE more bytes of address space than it has (where /proc tells how many it has)."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError):
        return
    most = pages * resource.getpagesize() + SPARE
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def main(argv=None):
    parser = argparse.ArgumentParser(description="Read files of weights that have been changed at random.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=20_000)
    args = parser.parse_args(argv)
    warnings.simplefilter("ignore")  # zipfile's and Python's, about what is in the files
    limit_memory()
    found = fuzz(args.seed, args.count, tempfile.mkdtemp())
    for kind in weight_files():
        print(f"{kind:12}{found[kind, 'read']:6} read {found[kind, 'refused']:6} refused")
    print(f"{args.count} files, seed {args.seed}: nothing else happened")


if __name__ == "__main__":
    main()
