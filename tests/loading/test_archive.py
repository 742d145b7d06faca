"""Zip archives from strangers."""

from __future__ import annotations

import contextlib
import io
import struct
import warnings
import zipfile
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipctrl.errors import LoadError
from lipctrl.networks.loading import archive
from lipctrl.networks.loading.archive import Archive, read_file
from tests.loading.loading_files import zipped


def test_members_are_read():
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        opened = Archive(zipped({"a": b"one", "b/c": b""}, compression), "x")
        assert opened.names == ("a", "b/c")
        assert opened.read("a") == b"one"
        assert opened.read("b/c") == b""
        with pytest.raises(LoadError, match="no member"):
            opened.read("d")


@pytest.mark.parametrize("name", ["../a", "a/../../b", "/etc/passwd", "a\\b"])
def test_members_that_point_outside(name):
    with pytest.raises(LoadError, match="outside"):
        Archive(zipped({name: b"x"}), "x")


def test_duplicate_members():
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w") as made:
        warnings.simplefilter("ignore")
        made.writestr("data", b"one")
        made.writestr("data", b"two")
    with pytest.raises(LoadError, match="two members"):
        Archive(stream.getvalue(), "x")


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_unusual_compression(compression):
    with pytest.raises(LoadError, match="compression"):
        Archive(zipped({"a": b"one"}, compression), "x")


def test_encrypted_members():
    content = bytearray(zipped({"a": b"one"}))
    content[content.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(LoadError, match="encrypted"):
        Archive(bytes(content), "x")


def test_a_bomb_is_refused_before_it_unfolds(monkeypatch):
    monkeypatch.setattr(archive, "MAX_MEMBER", 1000)
    opened = Archive(zipped({"a": b"\0" * 1001}, zipfile.ZIP_DEFLATED), "x")
    with pytest.raises(LoadError, match="over"):
        opened.read("a")


def test_a_bomb_that_lies_about_its_size(monkeypatch):
    monkeypatch.setattr(archive, "MAX_MEMBER", 1000)
    raw = b"\0" * 1_000_000
    content = bytearray(zipped({"a": raw}, zipfile.ZIP_DEFLATED))
    central = content.index(b"PK\x01\x02")
    content[central + 24 : central + 28] = struct.pack("<I", 5)
    content[central + 16 : central + 20] = struct.pack("<I", zlib.crc32(raw[:5]))
    opened = Archive(bytes(content), "x")
    assert opened.read("a") == raw[:5]  # never more than it claims


def test_a_member_shorter_than_it_claims():
    content = bytearray(zipped({"a": b"one"}, zipfile.ZIP_DEFLATED))
    central = content.index(b"PK\x01\x02")
    content[central + 24 : central + 28] = struct.pack("<I", 300)
    with pytest.raises(LoadError, match="claims 300"):
        Archive(bytes(content), "x").read("a")


def test_wrong_checksums():
    content = bytearray(zipped({"a": b"onetwothree"}))
    content[content.index(b"onetwothree")] ^= 1
    with pytest.raises(LoadError, match="damaged"):
        Archive(bytes(content), "x").read("a")


def test_too_many_members(monkeypatch):
    monkeypatch.setattr(archive, "MAX_MEMBERS", 3)
    assert len(Archive(zipped({str(i): b"" for i in range(3)}), "x").names) == 3
    with pytest.raises(LoadError, match="more than 3"):
        Archive(zipped({str(i): b"" for i in range(4)}), "x")


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip at all", b"PK\x05\x06" + b"\xff" * 18])
def test_not_a_zip(content):
    with pytest.raises(LoadError, match="not a readable zip"):
        Archive(content, "x")


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_mutated_and_truncated_archives(data):
    content = bytearray(zipped({"data": b"{}" * 20, "policy.pth": b"weights"}, zipfile.ZIP_DEFLATED))
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content
    with contextlib.suppress(LoadError):
        opened = Archive(bytes(content), "x")
        for name in opened.names:
            opened.read(name)


def test_files(tmp_path, monkeypatch):
    path = tmp_path / "a"
    with pytest.raises(LoadError, match="no file"):
        read_file(path)
    with pytest.raises(LoadError, match="plain file"):
        read_file(tmp_path)
    path.write_bytes(b"")
    with pytest.raises(LoadError, match="empty"):
        read_file(path)
    path.write_bytes(b"12345")
    assert read_file(path) == b"12345"
    monkeypatch.setattr(archive, "MAX_FILE", 4)
    with pytest.raises(LoadError, match="limit"):
        read_file(path)
    with pytest.raises(LoadError):
        read_file(tmp_path / "nul\0byte")
