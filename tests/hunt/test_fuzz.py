"""Files damaged in every way: nothing in them runs, only typed errors come out, memory and time stay bounded.

Valid files of each format are mutated: bits, lengths, cuts and splices of the raw bytes; members of an archive that is
then packed again, so that its checksums are right; pickle instructions left out, repeated, exchanged or made hostile;
values of JSON replaced by ones of another kind.
"""

from __future__ import annotations

import copy
import functools
import gzip
import io
import json
import pickle
import pickletools
import resource
import struct
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from lipctrl.errors import CertificateError, LipctrlError, LoadError, NetworkError, PlantError
from lipctrl.networks.loading.card import read_card
from lipctrl.networks.loading.inert import read_pickle
from lipctrl.networks.loading.plain import parse_plain
from lipctrl.networks.loading.sb3 import read_agent
from lipctrl.networks.loading.torch_file import read_state_dict
from lipctrl.networks.loading.vecnormalize import parse_vecnormalize
from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.plants.plant_file import plant_from_file
from lipctrl.proofs import check_cells
from lipctrl.proofs.certificate import network_block, read_certificate
from lipctrl.proofs.check import check
from lipctrl.theorems.lipschitz import lipschitz
from tests.hunt.tally import Tally
from tests.loading.loading_files import (
    PPO,
    SAC,
    box,
    fragment,
    name,
    random_state,
    sb3_zip,
    torch_legacy,
    torch_zip,
    vecnormalize,
    whole,
)

# ---------------------------------------------------------------------------------------------------- what must not be

_FORBIDDEN = ("exec", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "subprocess.Popen", "pickle.find_class",
              "socket.connect", "socket.bind", "ctypes.dlopen", "os.remove", "os.rename", "shutil.rmtree",
              "webbrowser.open")  # fmt: skip
_seen: list[str] | None = None


def _watch(event: str, arguments: Any) -> None:
    if event == "exec" and not arguments[0].co_filename.startswith("<"):
        return  # a module of the library, imported on first use (json and its encodings)
    if _seen is not None and event in _FORBIDDEN:
        _seen.append(f"{event}{arguments!r}"[:200])


@functools.cache
def watched() -> None:
    """Audit hooks stay for good: this one listens only while `_seen` is a list."""
    sys.addaudithook(_watch)


# ------------------------------------------------------------------------------------------------------------ mutations

HOSTILE = [
    name("os", "system") + fragment("exit 1") + b"\x85R",
    name("builtins", "exec") + fragment("raise SystemExit") + b"\x85R",
    name("builtins", "eval") + fragment("1/0") + b"\x85R",
    b"\x8c\x05posix\x8c\x06system\x93" + fragment("exit 1") + b"\x85R",
    b"(S'exit 1'\nios\nsystem\n",
    b"\x8a\xff" + b"\xff" * 255, b"\x8b\xff\xff\xff\x7f", b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"r\xff\xff\xff\xff", b"]" + b"2a" * 20, b"(" * 50, b"\x85" * 50, b"2\x86" * 30, b"j\xff\xff\xff\x7f",
    b"Q", b"\x82\x01", b"\x97", b"\x98", b"}" + b"2" * 30, b"F1e999\n", b"L" + b"9" * 6000 + b"L\n",
    b"I01\n", b"V\\ud800\n", b"N", b"0", b"\x94", b"b", b"\x81",
]  # fmt: skip
EXTREME = [struct.pack("<I", x) for x in (0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000)] + [
    struct.pack("<Q", x) for x in (2**63 - 1, 2**64 - 1, 2**40)
]


def raw(rng: np.random.Generator, content: bytes) -> bytes:
    """A few changes of bytes."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        n = len(data)
        if n == 0:
            return bytes(data)
        i, j = sorted(int(k) for k in rng.integers(0, n + 1, 2))
        match int(rng.integers(8)):
            case 0:
                data[min(i, n - 1)] ^= 1 << int(rng.integers(8))
            case 1:
                data[min(i, n - 1)] = int(rng.integers(256))
            case 2:
                del data[i:]
            case 3:
                del data[i : min(j, i + 40)]
            case 4:
                data[i:i] = data[i : min(j, i + 200)]
            case 5:
                word = EXTREME[rng.integers(len(EXTREME))]
                data[i : i + len(word)] = word
            case 6:
                data[i:i] = HOSTILE[rng.integers(len(HOSTILE))]
            case _:
                k = int(rng.integers(0, n + 1))
                data[i:j] = data[k : k + j - i]
    return bytes(data)


def instructions(rng: np.random.Generator, content: bytes) -> bytes:
    """Pickle instructions left out, repeated, exchanged, or hostile ones put between them."""
    try:
        places = [place for _, _, place in pickletools.genops(content)]
    except Exception:
        return raw(rng, content)
    parts = [content[a:b] for a, b in zip(places, [*places[1:], len(content)], strict=True)]
    for _ in range(int(rng.integers(1, 5))):
        i, j = (int(k) for k in rng.integers(0, len(parts), 2))
        match int(rng.integers(5)):
            case 0:
                parts[i] = b""
            case 1:
                parts.insert(i, parts[j])
            case 2:
                parts[i], parts[j] = parts[j], parts[i]
            case 3:
                parts.insert(i, HOSTILE[rng.integers(len(HOSTILE))])
            case _:
                parts[i] = raw(rng, parts[i])
    return b"".join(parts)


VALUES: list[Any] = [None, True, 0, -1, 1e308, -1e-320, 2**70, "", "0x1p+0", "nan", "\ud800", [], {}, [[]],
                     [[1, 2], [3]], float("nan"), float("inf"), "A" * 3000, [0] * 2000, {"": None},
                     "0x1.fffffffffffffp+1023"]  # fmt: skip


def json_values(rng: np.random.Generator, content: bytes) -> bytes:
    """One or two values of another kind, keys left out or doubled, deep nesting."""
    try:
        value = json.loads(content)
    except Exception:
        return raw(rng, content)
    for _ in range(int(rng.integers(1, 3))):
        inner = value
        for _ in range(12):
            keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
            if not keys:
                break
            key = keys[rng.integers(len(keys))]
            child = inner[key]
            if not isinstance(child, dict | list) or rng.random() < 0.25:
                if isinstance(inner, dict) and rng.random() < 0.2:
                    del inner[key]
                else:
                    inner[key] = copy.deepcopy(VALUES[rng.integers(len(VALUES))])
                break
            inner = child
    text = json.dumps(value)
    if rng.random() < 0.05:
        text = text.replace("[", "[" * int(rng.integers(2, 50_000)), 1)
    if rng.random() < 0.05:
        text = text.replace(":", ": 1, " + '"' + text[2:8] + '":', 1)
    return text.encode("utf-8", "surrogatepass")


def members(rng: np.random.Generator, content: bytes) -> bytes:
    """One member of the archive changed, and packed again: all checksums are right."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = {info.filename: archive.read(info) for info in archive.infolist()}
    except Exception:
        return raw(rng, content)
    chosen = list(parts)[rng.integers(len(parts))]
    old = parts[chosen]
    parts[chosen] = MUTATIONS[rng.integers(len(MUTATIONS))](rng, old)
    if rng.random() < 0.1:
        del parts[chosen]
    if rng.random() < 0.05:
        parts["../" + chosen] = old
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)[rng.integers(2)]) as archive:
        for key, part in parts.items():
            archive.writestr(key, part)
    return stream.getvalue()


MUTATIONS = (raw, instructions, json_values, members)

# -------------------------------------------------------------------------------------------------------------- formats


@dataclass(frozen=True)
class Format:
    """Valid files, how to read one, and the errors that may come out."""

    seeds: tuple[bytes, ...]
    read: Callable[[bytes, Path], Any]
    allowed: tuple[type[Exception], ...]


def _from_file(read: Callable[[Path], Any], filename: str) -> Callable[[bytes, Path], Any]:
    def run(content: bytes, folder: Path) -> Any:
        path = folder / filename
        path.write_bytes(content)
        return read(path)

    return run


def _agents() -> tuple[bytes, ...]:
    rng = np.random.default_rng(0)
    space, action = box([-1, -1], [1, 1]), box([-2.0], [2.0])
    return tuple(sb3_zip(kind, random_state(kind, [2, 4, 4, 1], rng), space, action) for kind in (PPO, SAC))


def _states() -> tuple[bytes, ...]:
    state = {"a.weight": np.ones((3, 2), np.float32), "a.bias": np.zeros(3, np.float32)}
    return torch_zip(state), torch_legacy(state)


def _npz(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


PLANT = {"A": np.eye(2) * 0.5, "B": np.ones((2, 1)), "C": np.eye(2), "D": np.zeros((2, 1)), "dt": 0.1}


def _mat(**options: Any) -> bytes:
    stream = io.BytesIO()
    savemat(stream, PLANT, **options)
    return stream.getvalue()


def _certificate() -> bytes:
    network = Network([Affine(np.ones((2, 2))), Elementwise("tanh", 2), Affine(np.ones((1, 2)))])
    claim = lipschitz(network, region=(-np.ones(2), np.ones(2)), method="local").certificate
    return json.dumps({"format": "lipctrl-certificate", "version": 1, **(claim or {})}).encode()


def _cells() -> bytes:
    """A certificate of cells that is damaged from the start: its reader is what is asked."""
    network = Network([Affine([[-0.5, 0.0]]), Elementwise("tanh", 1)])
    return json.dumps(
        {
            "format": "lipctrl-certificate", "version": 1, "theorem": "region_of_attraction",
            "network": network_block(network), "model": {"states": 2, "program": [["add", 0, 1]]}, "grids": [],
            "ellipsoids": [], "records": [{"grid": 0, "level": 1, "rank": 1, "steps": 1, "cells": "00"}],
        }
    ).encode()  # fmt: skip


def _check_everything(path: Path) -> Any:
    result = check(path, 5.0)
    code, _ = check_cells.check(path, 5.0)
    if not isinstance(result.accepted, bool) or code not in (0, 1, 2):
        raise AssertionError(f"{result}, {code}")


@functools.cache
def formats() -> dict[str, Format]:
    loading = (LoadError, NetworkError)
    weights = {"W0": np.ones((3, 2)), "b0": np.zeros(3), "W1": np.ones((1, 3)), "b1": np.zeros(1)}
    plain = (_npz(**weights), _npz(**weights, activation="tanh", low=-1.0, high=1.0))
    text = json.dumps({k: np.asarray(v).tolist() for k, v in PLANT.items()}).encode()
    card = json.dumps({"environment": "Pendulum-v1", "algorithm": "ppo", "model": "model.zip",
                       "sha256": {"model.zip": "0" * 64}}).encode()  # fmt: skip
    objects: list[Any] = [
        {"a": [1, 2.5, "x", b"y", None, True]},
        np.arange(3.0),
        box([-1], [1]),
        {1, 2},
        (1, (2, (3,))),
    ]
    pickles = tuple(pickle.dumps(x, protocol) for x in objects for protocol in (0, 2, 4, 5))
    return {
        "zip of Stable-Baselines3": Format(
            _agents(), lambda content, _: read_agent(content, "x").network(None, "action"), loading
        ),
        "pickle": Format((*pickles, whole(name("a", "b") + b")R")), lambda content, _: read_pickle(content), loading),
        "torch file": Format(_states(), lambda content, _: read_state_dict(content, "x"), loading),
        "vecnormalize.pkl": Format(
            (vecnormalize([0.0, 1.0], [1.0, 2.0]), vecnormalize([0.0], [1.0], box([-1], [1]))),
            lambda content, _: parse_vecnormalize(content, "x").layers(), loading,
        ),
        "plain network": Format(
            plain, lambda content, _: parse_plain(content, "x"), loading
        ),
        "card": Format((card,), _from_file(lambda path: read_card(path.parent), "card.json"), loading),
        "plant .json": Format((text,), _from_file(plant_from_file, "p.json"), (PlantError,)),
        "plant .npz": Format((_npz(**PLANT),), _from_file(plant_from_file, "p.npz"), (PlantError,)),
        "plant .mat": Format(
            (_mat(), _mat(do_compression=True), _mat(format="4")), _from_file(plant_from_file, "p.mat"), (PlantError,)
        ),
        "certificate": Format(
            (_certificate(), gzip.compress(_certificate())), _from_file(read_certificate, "c.json"), (CertificateError,)
        ),
        "certificate, checkers": Format(
            (_certificate(), gzip.compress(_certificate()), _cells()), _from_file(_check_everything, "c.json"), ()
        ),
    }  # fmt: skip


def attempt(what: Format, content: bytes, folder: Path) -> tuple[str, str | None]:
    """What came of one file: "read" or "refused", and the fault in words."""
    global _seen
    watched()
    began, _seen = time.process_time(), []
    try:
        what.read(content, folder)
        end, fault = "read", None
    except what.allowed:
        end, fault = "refused", None
    except LipctrlError as error:
        end, fault = "refused", f"{type(error).__name__}: {error}"
    except BaseException as error:
        end, fault = "refused", f"{type(error).__name__}: {error}"
    seen, _seen = _seen, None
    if seen:
        fault = f"ran {seen[0]}"
    used = time.process_time() - began
    if used > 5.0:
        fault = f"took {used:.1f} s"
    return end, fault


def study(format_name: str, count: int, seed: int = 0, folder: Path | None = None) -> Tally:
    rng, tally, what = np.random.default_rng(seed), Tally(f"damaged files: {format_name}"), formats()[format_name]
    with tempfile.TemporaryDirectory() as own, tally.clock():
        for content in what.seeds:
            attempt(what, content, folder or Path(own))  # lazy imports happen here
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(count):
            content = what.seeds[rng.integers(len(what.seeds))]
            if rng.random() < 0.05:
                other = what.seeds[rng.integers(len(what.seeds))]
                cut = int(rng.integers(0, min(len(content), len(other)) + 1))
                content = content[:cut] + other[cut:]
            content = MUTATIONS[rng.integers(len(MUTATIONS))](rng, content)
            end, fault = attempt(what, content, folder or Path(own))
            tally.tried += 1
            tally.count(end)
            if fault is not None:
                tally.fail(f"{format_name}: {fault} from {zlib.compress(content).hex()}")
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    tally.met["MB more at the peak"] = grown // 1024
    if grown > 2**20:
        tally.fail(f"{format_name}: the peak of memory grew by {grown // 1024} MB")
    return tally


@pytest.mark.parametrize("format_name", formats())
def test_damaged_files_are_refused_or_read(format_name: str, tmp_path: Path) -> None:
    tally = study(format_name, 150, 1, tmp_path)
    assert not tally.failures


@pytest.mark.parametrize("format_name", formats())
def test_what_is_whole_is_read(format_name: str, tmp_path: Path) -> None:
    what = formats()[format_name]
    for content in what.seeds:
        assert attempt(what, content, tmp_path) == ("read", None)
    if format_name not in ("certificate, checkers", "pickle"):
        assert attempt(what, b"", tmp_path) == ("refused", None)


def test_the_watch_is_awake() -> None:
    """The honest unpickler runs what the inert one only records."""
    hostile = whole(name("builtins", "exec") + fragment("pass") + b"\x85R")
    what = Format((), lambda content, _: pickle.loads(content), ())
    assert "pickle.find_class" in str(attempt(what, hostile, Path())[1])
    assert attempt(Format((), lambda content, _: read_pickle(content), ()), hostile, Path()) == ("read", None)
