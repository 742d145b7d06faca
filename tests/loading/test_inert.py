"""The inert reader builds plain values exactly and executes nothing."""

from __future__ import annotations

import builtins
import collections
import contextlib
import io
import os
import pickle
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lipctrl.errors import LoadError
from lipctrl.networks.loading.arrays import as_array, as_dtype, as_number, as_shape
from lipctrl.networks.loading.inert import MAX_MARKS, MAX_OPCODES, Global, Record, read_pickle, read_pickle_at
from tests.loading.loading_files import fragment, name, whole

plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)
dtypes = st.one_of(
    hnp.floating_dtypes(sizes=(16, 32, 64), endianness="?"), hnp.integer_dtypes(endianness="?"), hnp.boolean_dtypes()
)


class Exploit:
    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


@given(value=plain_values, protocol=st.integers(3, 5))
@settings(max_examples=150, deadline=None)
def test_plain_values_survive(value, protocol):
    assert read_pickle(pickle.dumps(value, protocol)) == value


@given(value=st.recursive(st.integers() | st.text() | st.floats(allow_nan=False), st.lists, max_leaves=8))
@settings(max_examples=50, deadline=None)
def test_the_text_protocols_are_read_too(value):
    for protocol in (0, 1):
        assert read_pickle(pickle.dumps(value, protocol)) == value


def test_memo_keeps_identity():
    shared = [1]
    first, second = read_pickle(pickle.dumps((shared, shared)))
    assert first is second == [1]


@given(data=st.data(), protocol=st.integers(0, 5), order=st.sampled_from("CF"))
@settings(max_examples=120, deadline=None)
def test_arrays_survive_bit_for_bit(data, protocol, order):
    array = data.draw(hnp.arrays(data.draw(dtypes), hnp.array_shapes(min_dims=0, max_dims=3, max_side=4)))
    array = np.asarray(array, order=order)
    read = as_array(read_pickle(pickle.dumps(array, protocol)))
    assert read.shape == array.shape
    assert read.dtype == array.dtype.newbyteorder("=")
    assert read.tobytes() == array.astype(read.dtype).tobytes()


def test_arrays_of_both_numpy_generations():
    array = np.arange(6, dtype="f4").reshape(2, 3)
    for protocol in (2, 5):
        content = pickle.dumps(array, protocol)
        old = content.replace(b"numpy._core", b"numpy.core")
        if protocol == 5:  # the names carry their lengths
            old = pickle.dumps(array, protocol)
            old = old.replace(b"\x8c\x13numpy._core.numeric", b"\x8c\x12numpy.core.numeric")
            old = old[:3] + struct.pack("<Q", len(old) - 11) + old[11:]
        assert old != content
        np.testing.assert_array_equal(as_array(read_pickle(old)), array)


def test_scalars_and_plain_numbers():
    assert as_number(read_pickle(pickle.dumps(np.float32(0.1)))) == float(np.float32(0.1))
    assert as_number(read_pickle(pickle.dumps(np.int64(-3)))) == -3.0
    assert as_number(read_pickle(pickle.dumps(2.5))) == 2.5
    for wrong in (np.zeros(2), "1", None, 10**400):
        with pytest.raises(LoadError):
            as_number(read_pickle(pickle.dumps(wrong)))


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([None]), np.zeros(2, "f8,i4"), np.zeros(2, complex)])
def test_arrays_of_other_things_are_refused(array):
    with pytest.raises(LoadError):
        as_array(read_pickle(pickle.dumps(array)))


def reconstruct(shape, dtype, raw):
    head = name("numpy.core.multiarray", "_reconstruct") + b"(" + name("numpy", "ndarray") + b"K\x00\x85C\x01btR"
    return whole(head, b"(K\x01", fragment(shape), fragment(dtype), b"\x89", fragment(raw), b"tb")


def test_shape_and_bytes_must_agree():
    good = reconstruct((2,), np.dtype("f4"), b"\0" * 8)
    np.testing.assert_array_equal(as_array(read_pickle(good)), np.zeros(2, "f4"))
    for shape, raw in [
        ((3,), b"\0" * 8),
        ((-2,), b"\0" * 8),
        ((2**40, 2**40), b""),
        (("x",), b""),
        ((1,) * 40, b"\0" * 4),
    ]:
        with pytest.raises(LoadError):
            as_array(read_pickle(reconstruct(shape, np.dtype("f4"), raw)))


def test_shapes_and_dtypes_are_checked():
    assert as_shape(3) == (3,)
    for wrong in (True, (True,), (-1,), "12", (2**60,), None):
        with pytest.raises(LoadError):
            as_shape(wrong)
    assert as_dtype(Global("numpy", "float32")) == np.dtype("f4")
    assert as_dtype("b1") == np.dtype(bool)
    assert as_dtype(Record(Global("numpy", "dtype"), ("<f4", False, True), state=(3, ">"))) == np.dtype(">f4")
    for wrong in ("O", "S4", "f16", Global("os", "system"), None, [("a", "f4")]):
        with pytest.raises(LoadError):
            as_dtype(wrong)


def attacks(canary):
    touch = f"open({str(canary)!r}, 'w').close()"
    yield pickle.dumps(Exploit(os.system, f"touch {canary}"))
    yield pickle.dumps(Exploit(eval, touch))
    yield pickle.dumps(Exploit(builtins.exec, touch), 0)
    yield pickle.dumps([Exploit(io.open, str(canary), "w")], 2)
    yield pickle.dumps({"a": (Exploit(os.mkdir, str(canary)),)}, 4)
    yield whole(b"(", name("builtins", "exec"), fragment(touch), b"o")
    yield whole(b"(", fragment(touch), b"ibuiltins\nexec\n")
    yield whole(name("builtins", "exec"), fragment((touch,)), b"\x81")
    yield whole(name("builtins", "exec"), fragment((touch,)), b"}\x92")
    yield whole(name("builtins", "object"), b")\x81}", fragment("__setstate__"), name("os", "system"), b"sb")
    yield whole(fragment([]), name("os", "mkdir"), fragment((str(canary),)), b"Ra")
    yield b"\x80\x04\x8c\x08builtins\x8c\x04exec\x93" + fragment((touch,)) + b"R."


def test_attacks_do_not_run(tmp_path):
    canary = tmp_path / "canary"
    contents = list(attacks(canary))
    assert len(contents) == 12
    for content in contents:
        value = read_pickle(content)
        assert not canary.exists()
        assert isinstance(value, Record | list | dict)
        with pytest.raises(LoadError):
            as_array(value)
    pickle.loads(contents[1])
    assert canary.exists()  # the payload is live: only the reader is inert


def test_what_would_be_called_is_recorded():
    value = read_pickle(pickle.dumps(Exploit(os.path.join, "a", "b")))
    assert value.args == ("a", "b")
    assert value.function.name == "join"
    counter = read_pickle(pickle.dumps(collections.OrderedDict(x=1)))
    assert counter.calls("collections.OrderedDict")
    assert counter.pairs == [("x", 1)]


BROKEN = {
    "empty": b"",
    "no end": b"\x80\x02N",
    "stop on nothing": b".",
    "two objects": b"NN.",
    "open group": b"(N.",
    "closed group": b"t.",
    "extension 1": b"\x82\x01.",
    "extension 2": b"\x83\x01\x00.",
    "extension 4": b"\x84\x01\x00\x00\x00.",
    "persistent": b"Pevil\n.",
    "persistent from stack": b"NQ.",
    "out of band": b"\x97.",
    "read only": b"N\x98.",
    "unknown instruction": b"\xff.",
    "unknown memo": b"h\x05.",
    "huge bytes": b"B\xff\xff\xff\x7fx.",
    "huger bytes": b"\x8e" + b"\xff" * 8 + b"x.",
    "huge text": b"X\xff\xff\xff\x7fx.",
    "huge integer": b"\x8b\xff\xff\xff\x7fx.",
    "negative integer size": b"\x8b\xff\xff\xff\xffx.",
    "many digits": b"I" + b"9" * 10_000 + b"\n.",
    "not a number": b"Fnonsense\n.",
    "unhashable key": b"}]Ns.",
    "tuple key": b"})Ns.",
    "huge key": whole(b"}", fragment(2**80), b"Ns"),
    "odd pairs": b"}(NNNu.",
    "append to a number": b"K\x01Na.",
    "set in a number": b"K\x01NNs.",
    "state of a list": b"]}b.",
    "state twice": whole(name("a", "b"), b")\x81}b}b"),
    "import of numbers": b"K\x01K\x01\x93.",
    "call of nothing": b"R.",
    "empty group call": b"(o.",
    "bad text": b"X\x01\x00\x00\x00\xff.",
    "deep groups": b"(" * (MAX_MARKS + 1) + b"t" * (MAX_MARKS + 1) + b".",
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_broken_pickles(content):
    with pytest.raises(LoadError) as caught:
        read_pickle(content)
    assert caught.value.message


def test_the_number_of_instructions_is_limited():
    with pytest.raises(LoadError, match="instructions"):
        read_pickle(b"N0" * (MAX_OPCODES // 2) + b"N.")


@pytest.mark.parametrize("step", [b"\x85", b"]a", b"a"], ids=["tuples", "self-lists", "lists"])
def test_deep_nesting_costs_only_memory(step):
    depth = 100_000
    content = b")" + b"\x85" * depth + b"." if step == b"\x85" else b"]" * depth + b"a" * (depth - 1) + b"."
    value = read_pickle(content)
    assert len(value) == 1
    with pytest.raises(LoadError):
        as_array(value)


def test_a_memo_bomb_stays_small():
    doubling = b"]" + b"".join(b"q%c0(" % i + b"h%c" % i * 10 + b"l" for i in range(200)) + b"."
    assert len(read_pickle(doubling)) == 10


def test_the_end_of_a_pickle_in_a_stream():
    content = pickle.dumps(1) + pickle.dumps("two") + b"rest"
    one, position = read_pickle_at(content, 0)
    two, position = read_pickle_at(content, position)
    assert (one, two, content[position:]) == (1, "two", b"rest")


@given(content=st.binary(max_size=60))
@settings(max_examples=400, deadline=None)
def test_any_bytes(content):
    with contextlib.suppress(LoadError):
        read_pickle(content)


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_mutated_pickles(data):
    content = bytearray(
        pickle.dumps({"mean": np.arange(3.0), "x": (1, "a", [b"b", 2.5, None])}, data.draw(st.integers(0, 5)))
    )
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(LoadError):
        value = read_pickle(bytes(content))
        as_array(value["mean"] if isinstance(value, dict) and "mean" in value else value)
