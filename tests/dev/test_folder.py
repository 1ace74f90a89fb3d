from __future__ import annotations

from pathlib import Path

import pytest

from dev.errors import StackError
from dev.folder import Folder


def test_two_stacks_do_not_share_a_folder(tmp_path: Path) -> None:
    first = Folder(tmp_path / "data")
    with pytest.raises(StackError, match="another stack uses the folder"):
        Folder(tmp_path / "data")
    first.close()
    Folder(tmp_path / "data").close()


def test_without_a_name_the_next_free_folder_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = Folder(), Folder()
    assert [folder.path.name for folder in (first, second)] == ["data", "data-2"]
    first.close()
    second.close()


def test_secrets_are_kept_for_the_folder_and_for_its_owner(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    made = folder.secrets()
    assert folder.secrets() == made
    assert len({made.api_key, made.jwt_secret, made.link_secret}) == 3
    assert (tmp_path / "secrets.json").stat().st_mode & 0o077 == 0
    folder.close()
