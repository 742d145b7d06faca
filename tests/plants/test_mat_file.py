"""MATLAB files: what scipy writes is read to the bit, what is damaged is refused."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
from scipy.io import savemat

from lipctrl.errors import PlantError
from lipctrl.plants.mat_file import MAX_BYTES, read_mat
from lipctrl.plants.plant_file import plant_from_file


def written(content: dict, **options) -> bytes:
    stream = io.BytesIO()
    savemat(stream, content, **options)
    return stream.getvalue()


@pytest.mark.parametrize("options", [{}, {"do_compression": True}, {"format": "4"}])
def test_numbers_come_back_to_the_bit(options):
    rng = np.random.default_rng(0)
    content = {
        "A": rng.standard_normal((3, 3)) * 1e-200, "B": rng.standard_normal((3, 1)).astype(np.float32), "C": np.eye(3),
        "k": np.arange(6, dtype=np.int16).reshape(2, 3), "dt": 0.1, "empty": np.zeros((0, 3)),
    }  # fmt: skip
    found = read_mat(written(content, **options))
    assert set(found) == set(content)
    for key, value in content.items():
        np.testing.assert_array_equal(found[key], np.atleast_2d(value))
        assert found[key].dtype == np.float64


@pytest.mark.parametrize("options", [{}, {"do_compression": True}])
def test_what_is_no_real_matrix_is_skipped(options):
    other = {
        "s": {"a": 1.0},
        "c": np.array(["x", 1], dtype=object),
        "t": "text",
        "z": np.eye(2) * 1j,
        "n": np.ones((2, 2, 2)),
    }
    assert set(read_mat(written({"A": np.eye(2), **other}, **options))) == {"A"}


SPARSE = [scipy.sparse.csc_matrix([[0.5]]), np.array([[0.5j]]), {"a": 0.5}, np.array([0.5, "x"], dtype=object), "0.5"]


@pytest.mark.parametrize("key", ["D", "y0", "x0", "u0", "dt"])
@pytest.mark.parametrize("value", SPARSE, ids=["sparse", "complex", "struct", "cell", "text"])
@pytest.mark.parametrize("options", [{}, {"do_compression": True}])
def test_no_part_of_a_plant_is_skipped(key, value, options, tmp_path):
    """Left away, a sparse D would be zero, and the loop another one."""
    content = {"A": [[0.5]], "B": [[1.0]], "C": [[1.0]], "dt": 0.1, key: value, "other": value}
    (tmp_path / "plant.mat").write_bytes(written(content, **options))
    with pytest.raises(PlantError, match=key):
        plant_from_file(tmp_path / "plant.mat")
    (tmp_path / "plant.mat").write_bytes(written({**content, key: [[0.0]] if key != "dt" else 0.1}, **options))
    assert plant_from_file(tmp_path / "plant.mat").dt == 0.1


@pytest.mark.parametrize("value", [scipy.sparse.csc_matrix([[0.5]]), np.array([[0.5j]]), "x"])
def test_no_part_of_a_plant_is_skipped_in_level_4(value, tmp_path):
    content = {"A": [[0.5]], "B": [[1.0]], "C": [[1.0]], "dt": 0.1, "D": value}
    (tmp_path / "plant.mat").write_bytes(written(content, format="4"))
    with pytest.raises(PlantError, match="D"):
        plant_from_file(tmp_path / "plant.mat")


def test_big_endian_level_4():
    head = struct.pack(">5i", 1000, 1, 2, 0, 2) + b"A\0" + struct.pack(">2d", 1.5, -2.0)
    np.testing.assert_array_equal(read_mat(head)["A"], [[1.5, -2.0]])


def element(kind: int, data: bytes) -> bytes:
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


HEAD = b"MATLAB 5.0".ljust(124) + b"\x00\x01IM"
FLAGS, NAME = element(6, struct.pack("<II", 6, 0)), element(1, b"A")
BROKEN = {
    "opaque class, on which scipy dies": HEAD + element(14, element(6, struct.pack("<II", 17, 0)) + b"\0" * 40),
    "function class": HEAD + element(14, element(6, struct.pack("<II", 16, 0)) + element(5, bytes(8)) + NAME),
    "VAX numbers": struct.pack("<5i", 2000, 1, 1, 0, 2) + b"A\0" + bytes(8),
    "negative size": struct.pack("<5i", 0, -1, -1, 0, 2) + b"A\0" + bytes(8),
    "huge size": struct.pack("<5i", 0, 2**31 - 1, 2**31 - 1, 0, 2) + b"A\0" + bytes(8),
    "huge name": struct.pack("<5i", 0, 1, 1, 0, 2**31 - 1) + b"A\0" + bytes(8),
    "dimensions beyond the data": HEAD
    + element(14, FLAGS + element(5, struct.pack("<2i", 9, 9)) + NAME + element(9, bytes(8))),
    "unknown numbers": HEAD + element(14, FLAGS + element(5, struct.pack("<2i", 1, 1)) + NAME + element(11, bytes(8))),
    "length beyond the end": HEAD + struct.pack("<II", 14, 2**32 - 1) + bytes(64),
    "half a tag": HEAD + b"\x0e\0\0\0",
    "bomb": HEAD + struct.pack("<II", 15, 0) + b"",
    "not packed": HEAD + element(15, b"nothing"),
    "7.3": b"MATLAB 7.3".ljust(124) + b"\x00\x02IM" + bytes(400),
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(600),
    "nothing": b"", "text": b"A = [1 2; 3 4];\n" * 20,
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_damaged_files_are_refused(case, tmp_path):
    path = tmp_path / "plant.mat"
    path.write_bytes(BROKEN[case])
    with pytest.raises(PlantError):
        plant_from_file(path)


def test_bombs_are_refused(tmp_path):
    packed = zlib.compress(bytes(MAX_BYTES + 9))
    with pytest.raises(ValueError, match="too large"):
        read_mat(HEAD + struct.pack("<II", 15, len(packed)) + packed)
    bomb = tmp_path / "plant.npz"
    np.savez_compressed(bomb, A=np.zeros(MAX_BYTES // 8 + 9))
    with pytest.raises(PlantError, match="unpacks to more"):
        plant_from_file(bomb)
    large = tmp_path / "plant.json"
    with Path.open(large, "wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(PlantError, match="bytes, more than"):
        plant_from_file(large)
