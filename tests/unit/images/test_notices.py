"""The notice of an image: every package with its licence and where the text is.

The LGPL's conditions are met.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tools.images.notices import FILE, notices
from tools.images.packages import INSIDE, is_unwanted
from tools.images.roles import ROLES


def _install(packages: Path, name: str, version: str, licence: str, *texts: str) -> None:
    folder = packages / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n{licence}\n")
    for text in texts:
        (folder / text).parent.mkdir(parents=True, exist_ok=True)
        (folder / text).write_text("terms")


def test_every_package_is_named_with_its_licence_and_the_place_of_its_text(tmp_path: Path) -> None:
    _install(tmp_path, "numpy", "2.3", "License-Expression: BSD-3-Clause", "licenses/LICENSE.txt")
    _install(tmp_path, "odd", "1", "Home-page: https://odd.example")
    (tmp_path / "numpy.libs").mkdir()
    (tmp_path / "numpy.libs" / "libopenblas-0a1b2c3d.so").touch()
    text = notices(tmp_path, INSIDE)
    assert (
        "numpy 2.3 - BSD-3-Clause\n  numpy-2.3.dist-info/licenses/LICENSE.txt\n  with libopenblas.so\n"
        in text
    )
    assert (
        "odd 1 - see its text\n  https://odd.example\n  (the wheel carries no text of its licence)\n" in text
    )
    assert "Lesser" not in text


def test_a_library_under_the_lgpl_is_said_to_be_in_use_with_its_terms_and_how_to_exchange_it(
    tmp_path: Path,
) -> None:
    lesser = "Classifier: License :: OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)"
    _install(tmp_path, "psycopg", "3.3.9", lesser, "licenses/LICENSE.txt")
    text = notices(tmp_path, INSIDE)
    assert "LeadScore uses psycopg, as 3.3.9" in text
    assert "/usr/share/common-licenses/GPL-3" in text
    assert "psycopg-3.3.9.dist-info/licenses/LICENSE.txt" in text
    assert "PYTHONPATH" in text


def test_licence_texts_are_never_tidied_away() -> None:
    for name in (
        "licenses/LICENSE.txt",
        "licenses/COPYING.LESSER",
        "LICENSE",
        "licenses/vendor/llhttp/LICENSE",
    ):
        assert not is_unwanted(Path("a-1.dist-info") / name)


@pytest.mark.parametrize(
    "role", [each for each in ROLES if each.extras or each.groups], ids=lambda role: role.name
)
def test_every_image_with_packages_carries_the_notice_and_our_licence(role) -> None:
    assert f"COPY LICENSE {FILE} /opt/leadscore/\n" in (role.folder / "Dockerfile").read_text()
