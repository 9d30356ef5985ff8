"""The site's key: what it wraps, what it signs, and what is wrong with its file."""

from __future__ import annotations

from pathlib import Path

import pytest

from burstd.adapters.vault import FileVault, is_signed
from burstd.domain.keys import Signature
from burstd.ports.errors import AccessDenied, Mismatch

TEXT = "0f" * 32


def a_vault(tmp_path: Path, text: str = TEXT, mode: int = 0o600) -> FileVault:
    path = tmp_path / "site.key"
    path.write_text(text)
    path.chmod(mode)
    return FileVault(path)


def test_a_key_comes_out_as_what_it_was_wrapped_for_and_as_nothing_else(tmp_path: Path) -> None:
    vault, key = a_vault(tmp_path), bytes(range(32))
    wrapped = vault.wrap(key, "burst one")
    assert key == vault.unwrap(wrapped, "burst one")
    assert wrapped != vault.wrap(key, "burst one")
    assert key.hex() not in wrapped
    with pytest.raises(Mismatch, match="was not wrapped with"):
        vault.unwrap(wrapped, "burst two")
    with pytest.raises(Mismatch, match="burst shred"):
        a_vault(tmp_path, "aa" * 32 + "\n").unwrap(wrapped, "burst one")


def test_what_is_signed_is_the_sites_word(tmp_path: Path) -> None:
    by = a_vault(tmp_path).sign(b"all is gone")
    assert is_signed(b"all is gone", by)
    assert by == a_vault(tmp_path).sign(b"all is gone")
    assert not is_signed(b"all is here", by)
    assert not is_signed(b"all is gone", Signature("00" * 32, by.signature))
    assert not is_signed(b"all is gone", Signature("zz", "None"))
    assert by.public_key != a_vault(tmp_path, "aa" * 32).sign(b"all is gone").public_key


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        (TEXT, 0o640, "open to others (mode 640): chmod 600"),
        (TEXT[2:], 0o600, "not 64 hex digits; openssl rand -hex 32 >"),
        (TEXT * 2, 0o600, "not 64 hex digits"),
        ("zz" * 32, 0o600, "not 64 hex digits"),
        ("", 0o600, "not 64 hex digits"),
    ],
)
def test_a_bad_file_is_refused_with_the_cure(
    tmp_path: Path, text: str, mode: int, words: str
) -> None:
    with pytest.raises(AccessDenied) as caught:
        a_vault(tmp_path, text, mode).wrap(bytes(32), "x")
    assert words in str(caught.value)


def test_a_missing_one_too(tmp_path: Path) -> None:
    with pytest.raises(AccessDenied, match=r"can't be read: .*; openssl rand -hex 32 >"):
        FileVault(tmp_path / "none").sign(b"")
