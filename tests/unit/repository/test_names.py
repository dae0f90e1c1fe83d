"""One public name, one meaning: what the check finds, and that the product passes it."""

from __future__ import annotations

from pathlib import Path

from tools.names import repeated


def _module(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_product_has_one_meaning_per_name() -> None:
    assert repeated() == {}


def test_a_name_of_two_modules_is_found(tmp_path: Path) -> None:
    _module(tmp_path, "src/leadscore/a.py", "class Window:\n    pass\n")
    _module(tmp_path, "operators/leadscore_operator/b.py", "Window = tuple[int, int]\n")
    assert repeated(tmp_path) == {"Window": ["src/leadscore/a.py", "operators/leadscore_operator/b.py"]}


def test_private_names_type_variables_and_commands_may_repeat(tmp_path: Path) -> None:
    _module(tmp_path, "src/leadscore/a.py", "_LIMIT = 1\nT = TypeVar('T')\ndef train() -> None: ...\n")
    _module(
        tmp_path, "src/leadscore/cli/train.py", "_LIMIT = 2\nT = TypeVar('T')\ndef train() -> None: ...\n"
    )
    assert repeated(tmp_path) == {}
