"""Certificate files: strict, atomic, exact."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipctrl.errors import CertificateError
from lipctrl.networks.enclosure import InputSet, layer_bounds
from lipctrl.networks.network import Affine, Elementwise, Network
from lipctrl.plants.plant import Plant
from lipctrl.proofs import check_cells
from lipctrl.proofs.certificate import (
    MAX_BYTES,
    bounds_block,
    from_hex,
    hex_array,
    input_set_block,
    network_block,
    plant_block,
    read_certificate,
    write_certificate,
)
from lipctrl.proofs.check import MAX_BYTES as checker_limit
from lipctrl.proofs.check import check

HEAD = b'{"format": "lipctrl-certificate", "version": 1'
PACKED = gzip.compress(HEAD + b"}", mtime=0)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_doubles_survive_exactly(values):
    back = from_hex(json.loads(json.dumps(hex_array(np.array([values])))))
    assert back.tobytes() == np.array([values]).tobytes()


def test_shapes_and_signs_are_kept():
    assert hex_array(-0.0) == "-0x0.0p+0"
    assert from_hex(hex_array(5e-324)) == 5e-324
    assert hex_array(np.zeros((2, 0))) == [[], []]
    assert from_hex([[], []]).shape == (2, 0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_not_written(bad, tmp_path):
    with pytest.raises(CertificateError, match="NaN or infinite"):
        hex_array([1.0, bad])
    with pytest.raises(CertificateError, match="JSON"):
        write_certificate({"x": bad}, tmp_path / "c.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "bad",
    ["nan", "inf", "-inf", "0x1p9999", "1.5", "", "0x", 1.5, 1, True, None, {}, ["0x1p0", ["0x1p0"]], [["0x1p0"], []]],
)
def test_what_is_no_finite_hexadecimal_double_is_refused(bad):
    with pytest.raises(CertificateError, match="cannot be read"):
        from_hex(bad)


def test_written_whole_and_read_back_also_compressed(tmp_path):
    for name in ("c.json", "c.json.gz"):
        assert write_certificate({"theorem": "lipschitz", "rho": hex_array(0.1)}, tmp_path / name) == tmp_path / name
        assert read_certificate(tmp_path / name)["rho"] == (0.1).hex()
    assert gzip.decompress((tmp_path / "c.json.gz").read_bytes()) == (tmp_path / "c.json").read_bytes()
    assert (tmp_path / "c.json.gz").read_bytes()[4:8] == bytes(4)  # no time: equal certificates are equal files
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("where", ["write_bytes", "replace"])
def test_an_interrupted_write_leaves_the_old_file(fault, where, tmp_path, monkeypatch):
    target = tmp_path / "c.json"
    write_certificate({"rho": "old"}, target)

    def fail(*arguments):
        if where == "write_bytes":
            with open(arguments[0], "wb") as file:
                file.write(arguments[1][:5])
        raise fault

    monkeypatch.setattr(*(Path, where) if where == "write_bytes" else (os, where), fail)
    with pytest.raises(CertificateError if isinstance(fault, OSError) else KeyboardInterrupt):
        write_certificate({"rho": "new"}, target)
    assert [path.name for path in tmp_path.iterdir()] == ["c.json"]
    assert read_certificate(target)["rho"] == "old"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'"lipctrl-certificate"',
        b'{"format": "other", "version": 1}',
        b'{"format": "lipctrl-certificate"}',
        HEAD.replace(b"1", b"2") + b"}",
        HEAD + b', "a": 1, "a": 2}',
        HEAD + b', "a": {"b": 1, "b": 1}}',
        HEAD + b', "a": NaN}',
        HEAD + b', "a": [-Infinity]}',
        HEAD + b"} trailing",
        HEAD + b', "a": "\xff"}',
        b"\x1f\x8b broken",
        PACKED[:-9],
        PACKED[:10] + b"\xff" * 20,
        PACKED[:-8] + b"\0" * 8,
        b"[" * 100000,
        gzip.compress(b" " * (MAX_BYTES + 1) + b"{}"),
    ],
)
def test_what_is_no_certificate_is_refused(content, tmp_path):
    (tmp_path / "c.json").write_bytes(content)
    with pytest.raises(CertificateError) as caught:
        read_certificate(tmp_path / "c.json")
    assert caught.value.advice


def test_missing_files_and_folders_are_named(tmp_path):
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(CertificateError, match="cannot be read"):
            read_certificate(path)
    (tmp_path / "file").touch()
    for path in (tmp_path / "none" / "c.json", tmp_path / "file" / "c.json"):
        with pytest.raises(CertificateError, match="cannot be written"):
            write_certificate({}, path)


def test_blocks_hold_the_numbers_of_what_they_describe():
    rng = np.random.default_rng(0)
    network = Network([Affine(rng.normal(size=(3, 2)), rng.normal(size=3)), Elementwise("hardtanh", 3, low=-1, high=2)])
    first, second = network_block(network)["layers"]
    assert np.array_equal(from_hex(first["W"]), network.layers[0].W)
    assert np.array_equal(from_hex(first["b"]), network.layers[0].b)
    assert (second["type"], second["n"], from_hex(second["high"]).tolist()) == ("hardtanh", 3, [2.0, 2.0, 2.0])

    plant = Plant(
        rng.normal(size=(2, 2)), rng.normal(size=(2, 3)), np.eye(2), dt=0.1, x0=[1, 2], y0=[3, 4], u0=[5, 6, 7]
    )
    block = plant_block(plant)
    assert set(block) == {"A", "B", "C", "D", "dt", "x0", "y0", "u0"}
    assert all(np.array_equal(from_hex(block[key]), getattr(plant, key)) for key in block)

    inputs = InputSet.from_box(np.array([0.5, 0.25]), np.array([1.0, 2.0]))
    block = input_set_block(inputs)
    assert all(np.array_equal(from_hex(block[key]), getattr(inputs, key)) for key in block)
    assert set(block) == {"center", "ball_generators", "box"}
    bounds = layer_bounds(network, inputs)
    for layer, written in zip(bounds, bounds_block(bounds), strict=True):
        assert np.array_equal(from_hex(written["range"]).T, [layer.range.lo, layer.range.hi])
        assert np.array_equal(from_hex(written["slope"]).T, [layer.slope_lower, layer.slope_upper])
        assert np.array_equal(from_hex(written["relaxation"]).T, layer.relaxation)
    (everywhere,) = bounds_block(layer_bounds(network))
    assert everywhere["range"] is None
    assert everywhere["relaxation"] is None


def test_what_is_written_is_what_the_checkers_read(tmp_path):
    """The head of both formats, and their limit of size."""
    written = json.loads(write_certificate({"theorem": "none"}, tmp_path / "c.json").read_text())
    assert written == {"format": "lipctrl-certificate", "version": 1, "theorem": "none"}
    assert check(tmp_path / "c.json").readable
    assert check_cells.check(write_certificate({"theorem": "region_of_attraction"}, tmp_path / "r.json"))[0] == 1
    assert MAX_BYTES == check_cells.MAX_BYTES == checker_limit
    assert type(from_hex(hex_array(0.5))) is float


@pytest.mark.parametrize("name", ["c.json", "c.json.gz"])
def test_files_up_to_the_limit_are_read(name, tmp_path, monkeypatch):
    path = write_certificate({"theorem": "none"}, tmp_path / name)
    size = len(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())
    for limit, fits in ((size, True), (size - 1, False)):
        monkeypatch.setattr("lipctrl.proofs.certificate.MAX_BYTES", limit)
        if fits:
            assert read_certificate(path)["theorem"] == "none"
        else:
            with pytest.raises(CertificateError, match=f"larger than {limit} bytes"):
                read_certificate(path)
