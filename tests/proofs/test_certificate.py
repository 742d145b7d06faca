"""Certificate files: strict, atomic, exact."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipctrl.errors import CertificateError
from lipctrl.proofs.certificate import from_hex, hex_array, read_certificate, write_certificate


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_doubles_survive_exactly(values):
    back = from_hex(json.loads(json.dumps(hex_array(np.array([values])))))
    assert np.array_equal(back, [values])
    assert [str(v) for v in back[0]] == [str(v) for v in np.array(values)]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_refused(bad, tmp_path):
    with pytest.raises(CertificateError, match="NaN or infinite"):
        hex_array([1.0, bad])
    with pytest.raises(CertificateError, match="JSON"):
        write_certificate({"x": bad}, tmp_path / "c.json")
    assert list(tmp_path.iterdir()) == []


def test_written_whole_and_read_back_also_compressed(tmp_path):
    for name in ("c.json", "c.json.gz"):
        write_certificate({"theorem": "lipschitz", "rho": hex_array(0.1)}, tmp_path / name)
        assert read_certificate(tmp_path / name)["rho"] == (0.1).hex()
    assert gzip.decompress((tmp_path / "c.json.gz").read_bytes()) == (tmp_path / "c.json").read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"format": "other"}', b'{"a": 1, "a": 2}', b"\xff\xfe", b"\x1f\x8b broken", b"[" * 100000],
)
def test_what_is_no_certificate_is_refused(content, tmp_path):
    (tmp_path / "c.json").write_bytes(content)
    with pytest.raises(CertificateError):
        read_certificate(tmp_path / "c.json")


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(CertificateError, match="cannot be read"):
        read_certificate(tmp_path / "none.json")
    with pytest.raises(CertificateError, match="cannot be written"):
        write_certificate({}, tmp_path / "none" / "c.json")
