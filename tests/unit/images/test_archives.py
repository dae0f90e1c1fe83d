"""What is read back from an archive: packages, sizes, the bill of materials."""

import io
import json
import tarfile
from pathlib import Path

import pytest
from tools.images import sbom
from tools.images.built import Built
from tools.images.contents import compressed_size, describe, python_package
from tools.images.errors import ImageError
from tools.images.normalise import normalise
from tools.images.report import markdown, place, rows

METADATA = (
    "Metadata-Version: 2.4\nName: Jinja2\nVersion: 3.1.6\nLicense-Expression: BSD-3-Clause\n\nDescription\n"
)
FILES = {
    "var/lib/dpkg/status": (
        "Package: libc6\nStatus: install ok installed\nVersion: 2.36-9\nArchitecture: amd64\n"
    ),
    "usr/lib/x86_64-linux-gnu/libc.so.6": "x" * 3000,
    "opt/leadscore/packages/jinja2-3.1.6.dist-info/METADATA": METADATA,
    "opt/leadscore/packages/jinja2/__init__.py": "y" * 2000,
    "opt/leadscore/packages/numpy.libs/blas.so": "z" * 500,
    "opt/leadscore/packages/numpy/a.so": "z" * 500,
    "opt/leadscore/app/leadscore/__init__.py": "w" * 100,
}


@pytest.fixture
def built(tmp_path):
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        for name, text in FILES.items():
            add(archive, name, text.encode())
    config = {"architecture": "amd64", "os": "linux", "config": {}}
    with tarfile.open(tmp_path / "saved.tar", "w") as archive:
        add(archive, "l.tar", layer.getvalue())
        add(archive, "c.json", json.dumps(config).encode())
        add(archive, "manifest.json", json.dumps([{"Config": "c.json", "Layers": ["l.tar"]}]).encode())
    archive, name = tmp_path / "x.tar", "localhost/leadscore/x:1"
    digest = normalise(tmp_path / "saved.tar", archive, name=name, epoch=1_700_000_000, labels={})
    return Built("x", name, digest, "localhost/leadscore/base-python:abc", 1_700_000_000, str(archive))


def add(archive, name, content):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def test_packages_of_python_and_of_the_distribution_are_found(built):
    contents = describe(Path(built.archive))
    assert [(each.kind, each.name, each.version) for each in contents.packages] == [
        ("deb", "libc6", "2.36-9"),
        ("pypi", "Jinja2", "3.1.6"),
    ]
    assert contents.size == sum(len(text) for text in FILES.values())


def test_a_licence_may_be_a_classifier():
    text = (
        "Name: x\nVersion: 1\nClassifier: License :: OSI Approved\n"
        "Classifier: License :: OSI Approved :: MIT License\n"
    )
    assert python_package(text).licence == "MIT License"
    assert python_package("Name: x\nVersion: 1\n").licence == ""


def test_what_fills_an_image_adds_up_largest_first(built):
    contents = describe(Path(built.archive))
    found = rows(contents)
    assert found[0] == ("/usr/lib/x86_64-linux-gnu (base)", 3000)
    assert dict(found)["numpy (Python package)"] == 1000
    assert sum(size for _, size in found) == contents.size


def test_a_file_belongs_to_the_part_that_people_know():
    assert place("opt/leadscore/packages/psycopg_binary.libs/libpq.so") == "psycopg (Python package)"
    assert place("opt/leadscore/app/src/x.py") == "our code"
    assert place("model/model.ubj") == "the model"


def test_the_report_is_a_table_with_the_rest_in_its_last_row(built):
    text = markdown(built, describe(Path(built.archive)), top=2)
    assert text.startswith("### x: 0.0 MB")
    assert len([line for line in text.splitlines() if line.startswith("| ")]) == 4
    assert "| everything else |" in text
    assert 0 < compressed_size(Path(built.archive)) < Path(built.archive).stat().st_size


def test_a_bill_lists_image_base_and_every_package_and_is_valid(built):
    text = sbom.bill_of_materials(built, describe(Path(built.archive)))
    bill = json.loads(text)
    assert sbom.check(text) == 3
    assert bill["metadata"]["component"]["purl"] == f"pkg:oci/x@{built.digest}"
    assert {each.get("purl") for each in bill["components"]} == {
        None,
        "pkg:pypi/jinja2@3.1.6",
        "pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=bookworm",
    }


def test_the_same_image_has_the_same_bill(built):
    contents = describe(Path(built.archive))
    assert sbom.bill_of_materials(built, contents) == sbom.bill_of_materials(built, contents)


def test_a_bill_that_the_schema_forbids_is_refused(built):
    bill = json.loads(sbom.bill_of_materials(built, describe(Path(built.archive))))
    bill["components"][0]["type"] = "no-such-type"
    with pytest.raises(ImageError, match="not valid"):
        sbom.check(json.dumps(bill))
