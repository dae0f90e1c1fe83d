"""Whose work is in an image and under which licence: one text file that every image with packages carries."""

from __future__ import annotations

import re
from pathlib import Path

from tools.images.contents import python_package

FILE = "THIRD-PARTY-NOTICES.txt"
_TEXTS = re.compile(r"(licen[cs]e|copying|notice|authors)", re.IGNORECASE)
_HEAD = """LeadScore is licensed under the Apache License 2.0; its text is in LICENSE beside this file.

This image also holds work of others under licences of their own. Python packages are listed below, each with the place
of its licence text below {inside}. Libraries that a wheel brings along are named with it; their licences are
part of the wheel's texts or of its `sboms` folder. The distribution's packages carry theirs in
/usr/share/doc/*/copyright.
"""  # noqa: E501 - the text of a file in the images
_LESSER = """
{names}: the GNU Lesser General Public License
LeadScore uses {names}, as {version} from PyPI, unmodified but for debug symbols. The library and its use are covered by the
GNU Lesser General Public License, version 3; its text is at the places named below, and the GNU General Public License
that it supplements is at /usr/share/common-licenses/GPL-3. The source is at {homepage}.
The library is loaded from its own folder when a program starts: to use a modified version, put it into a folder that
comes earlier on PYTHONPATH, or build the image with it (docs/images.md).
"""  # noqa: E501 - the text of a file in the images


def notices(packages: Path, inside: str) -> str:
    """The notice of a folder of installed packages; the same packages give the same text.

    Args:
        packages: The folder.
        inside: What it is called in the image.
    """
    lines: list[str] = []
    lesser: list[tuple[str, str]] = []
    for folder in sorted(packages.glob("*.dist-info"), key=lambda each: each.name.lower()):
        package = python_package((folder / "METADATA").read_text(encoding="utf-8"))
        licence = package.licence or "see its text"
        if "LGPL" in licence or "Lesser" in licence:
            lesser.append((package.name, package.version))
        lines.append(f"\n{package.name} {package.version} - {licence}")
        if package.homepage:
            lines.append(f"  {package.homepage}")
        texts = sorted(
            path.relative_to(packages).as_posix()
            for path in folder.rglob("*")
            if path.is_file() and _TEXTS.search(path.relative_to(folder).as_posix())
        )
        lines += [f"  {text}" for text in texts] or ["  (the wheel carries no text of its licence)"]
        lines += [f"  with {name}" for name in _libraries(packages, package.name)]
    return _HEAD.format(inside=inside) + _lesser(lesser) + "\n".join(lines) + "\n"


def _lesser(found: list[tuple[str, str]]) -> str:
    if not found:
        return ""
    return _LESSER.format(
        names=" and ".join(name for name, _ in found),
        version=", ".join(sorted({version for _, version in found})),
        homepage=f"https://pypi.org/project/{found[0][0]}/",
    )


def _libraries(packages: Path, name: str) -> list[str]:
    """Shared libraries that auditwheel has put beside a package, without the digests in their names."""
    folder = packages / f"{name.replace('-', '_')}.libs"
    if not folder.is_dir():
        return []
    return sorted({re.sub(r"-[0-9a-f]{8}(?=\.)", "", path.name) for path in folder.iterdir()})
