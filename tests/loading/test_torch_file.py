"""State dictionaries of PyTorch, in both formats, without PyTorch."""

from __future__ import annotations

import contextlib
import io
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipctrl.errors import LoadError
from lipctrl.networks.loading.torch_file import read_state_dict
from tests.loading.loading_files import (
    fragment,
    name,
    ordered,
    table,
    tensor,
    torch_legacy,
    torch_zip,
    whole,
    zipped,
)

STATE = {
    "weight": np.arange(6, dtype=np.float32).reshape(2, 3) / 7,
    "bias": np.array([1.5, -2.25]),
    "steps": np.array(3, dtype=np.int64),
    "none": np.zeros((0, 4), np.float32),
    "half": np.array([0.5], np.float16),
}


@pytest.mark.parametrize("write", [torch_zip, torch_legacy], ids=["zip", "legacy"])
def test_tensors_survive_bit_for_bit(write):
    read = read_state_dict(write(STATE), "x")
    assert list(read) == list(STATE)
    for key, array in STATE.items():
        assert read[key].dtype == array.dtype
        np.testing.assert_array_equal(read[key], array)


def one(size, stride, offset=0, count=6, raw=None, **more):
    raw = np.arange(6, dtype=np.float32).tobytes() if raw is None else raw
    content = ordered({"w": tensor("0", size, stride, offset, count, **more)})
    return zipped({"archive/data.pkl": whole(content), "archive/data/0": raw})


def test_strides_and_offsets():
    base = np.arange(6, dtype=np.float32)
    read = read_state_dict(one((3, 2), (1, 3)), "x")["w"]
    np.testing.assert_array_equal(read, base.reshape(2, 3).T)
    np.testing.assert_array_equal(read_state_dict(one((2,), (2,), 3), "x")["w"], base[[3, 5]])
    np.testing.assert_array_equal(read_state_dict(one((), (), 4), "x")["w"], base[4])
    np.testing.assert_array_equal(read_state_dict(one((3,), (0,), 2), "x")["w"], [2, 2, 2])


def parameter(inner):
    return name("torch._utils", "_rebuild_parameter") + b"(" + inner + b"\x88" + fragment({}) + b"tR"


def holding(instructions):
    return zipped({"archive/data.pkl": whole(ordered({"w": instructions})), "archive/data/0": b"\0" * 8})


FORGED = {
    "offset beyond": one((2,), (1,), 5),
    "stride beyond": one((2, 3), (4, 1)),
    "far beyond": one((2,), (2**40,)),
    "negative stride": one((2,), (-1,), 3),
    "negative offset": one((2,), (1,), -1),
    "negative size": one((-2,), (1,)),
    "huge size with stride zero": one((2**40,), (0,)),
    "sizes without strides": one((2, 3), (3,)),
    "size as text": one("23", (1, 1)),
    "offset as text": one((2,), (1,), "0"),
    "offset as truth value": one((2,), (1,), True),
    "short storage": one((2,), (1,), raw=b"\0" * 20),
    "long storage": one((2,), (1,), raw=b"\0" * 28),
    "negative count": one((2,), (1,), count=-6),
    "huge count": one((2,), (1,), count=2**70),
    "unknown storage": one((2,), (1,), kind="QUInt8Storage"),
    "missing storage": one((2,), (1,)).replace(b"archive/data/0", b"archive/data/1"),
    "no state dictionary": zipped({"archive/data.pkl": whole(fragment([1, 2]))}),
    "a whole module": zipped({"archive/data.pkl": whole(name("torch.nn", "Linear") + b")\x81")}),
    "a number for a tensor": zipped({"archive/data.pkl": whole(table({"w": fragment(1)}))}),
    "no pickle": zipped({"archive/version": b"3"}),
    "two pickles": zipped({"a/data.pkl": whole(table({})), "b/data.pkl": whole(table({}))}),
    "big endian": torch_zip({"w": np.zeros(1, np.float32)}, **{"archive/byteorder": b"big"}),
    "other rebuilder": one((2,), (1,)).replace(b"_rebuild_tensor_v2", b"_rebuild_tensor_v9"),
    "numbers replaced afterwards": holding(tensor("0", (2,), (1,)) + b"(K\x01tb"),
    "numbers negated": holding(tensor("0", (2,), (1,))[:-2] + fragment({"neg": True}) + b"tR"),
    "a parameter of other numbers": holding(parameter(tensor("0", (2,), (1,))) + b"}b"),
    "not a torch file": b"\x80\x02N.",
    "empty": b"",
    "html": b"<html>404</html>",
}


@pytest.mark.parametrize("content", FORGED.values(), ids=FORGED.keys())
def test_forged_files(content):
    with pytest.raises(LoadError) as caught:
        read_state_dict(content, "policy.pth")
    assert caught.value.message


def test_two_parameters_of_one_name():
    twice = ordered({"w": tensor("0", (1,), (1,))})[:-1] + fragment("w") + tensor("0", (1,), (1,)) + b"u"
    with pytest.raises(LoadError, match="one name"):
        read_state_dict(zipped({"a/data.pkl": whole(twice), "a/data/0": b"\0" * 4}), "x")


def test_one_storage_declared_twice_differently():
    content = ordered({"v": tensor("0", (2,), (1,)), "w": tensor("0", (1,), (1,), kind="DoubleStorage")})
    with pytest.raises(LoadError, match="differently"):
        read_state_dict(zipped({"a/data.pkl": whole(content), "a/data/0": b"\0" * 8}), "x")


def test_shared_storage():
    content = ordered({"v": tensor("0", (2,), (1,), 0, 3), "w": tensor("0", (1,), (1,), 2, 3)})
    raw = np.array([1, 2, 3], np.float32).tobytes()
    read = read_state_dict(zipped({"a/data.pkl": whole(content), "a/data/0": raw}), "x")
    np.testing.assert_array_equal(read["v"], [1, 2])
    np.testing.assert_array_equal(read["w"], [3])


def test_parameters_are_unwrapped():
    for plain in (tensor("0", (2,), (1,)), parameter(tensor("0", (2,), (1,)))):
        np.testing.assert_array_equal(read_state_dict(holding(plain), "x")["w"], [0, 0])


def test_damaged_legacy_files():
    content = torch_legacy({"w": np.arange(4, dtype=np.float32)})
    for broken in (content[:-1], content[:40], content[:13]):
        with pytest.raises(LoadError):
            read_state_dict(broken, "x")
    wrong_size = content[:-24] + struct.pack("<q", 5) + content[-16:]
    with pytest.raises(LoadError, match="declared size"):
        read_state_dict(wrong_size, "x")
    big = content.replace(b"little_endianq\x02\x88", b"little_endianq\x02\x89")
    assert big != content
    with pytest.raises(LoadError, match="big-endian"):
        read_state_dict(big, "x")


def test_code_in_a_state_dictionary_does_not_run(tmp_path):
    canary = tmp_path / "canary"
    evil = name("builtins", "exec") + fragment((f"open({str(canary)!r}, 'w')",)) + b"R"
    for entries in ({"w": evil}, {"w": name("torch._utils", "_rebuild_tensor_v2") + b"(" + evil * 6 + b"tR"}):
        with pytest.raises(LoadError):
            read_state_dict(zipped({"a/data.pkl": whole(ordered(entries))}), "x")
    assert not canary.exists()


@given(data=st.data(), write=st.sampled_from([torch_zip, torch_legacy]))
@settings(max_examples=250, deadline=None)
def test_mutated_files(data, write):
    content = bytearray(write({"w": np.arange(4, dtype=np.float32).reshape(2, 2), "b": np.zeros(2)}))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(LoadError):
        read_state_dict(bytes(content), "x")


@given(data=st.data())
@settings(max_examples=250, deadline=None)
def test_mutated_pickles_in_whole_files(data):
    pickled = bytearray(whole(ordered({"w": tensor("0", (2, 2), (2, 1)), "b": tensor("1", (2,), (1,))})))
    for _ in range(data.draw(st.integers(1, 4))):
        pickled[data.draw(st.integers(0, len(pickled) - 1))] = data.draw(st.integers(0, 255))
    content = zipped({"a/data.pkl": bytes(pickled), "a/data/0": b"\0" * 16, "a/data/1": b"\0" * 8})
    with contextlib.suppress(LoadError):
        read_state_dict(content, "x")


@pytest.mark.sb3
@pytest.mark.parametrize("new_format", [True, False])
def test_files_of_torch_itself(new_format):
    torch = pytest.importorskip("torch")
    layer = torch.nn.Linear(4, 3).double()
    base = torch.arange(12.0).reshape(3, 4)
    state = {"w": layer.weight, "t": base.T, "part": base[1:, 1:3], "count": torch.tensor(3), "wide": base.half()}
    stream = io.BytesIO()
    torch.save(state, stream, _use_new_zipfile_serialization=new_format)
    read = read_state_dict(stream.getvalue(), "x")
    for key, value in state.items():
        np.testing.assert_array_equal(read[key], value.detach().numpy())
        assert read[key].dtype == value.detach().numpy().dtype
    assert zipfile.is_zipfile(stream) == new_format
