"""Base images from the distribution's packages: which are taken, and what scanners read about them."""

import pytest
from tools.images.bases import by_digest, reference
from tools.images.contents import distribution_packages, parse_stanzas
from tools.images.errors import ImageError
from tools.images.roles import Base
from tools.offline.bases import INSTALLERS, LOCAL, local_key
from tools.offline.debian import closure, dependencies, status_stanza

TEXT = """\
Package: python3
Version: 3.11.2-1+b1
Architecture: amd64
Depends: python3.11 (>= 3.11.2-1~), libpython3-stdlib (= 3.11.2-1+b1)
Pre-Depends: python3-minimal:any (= 3.11.2)
Description: interactive
 A long
 text: with a colon

Package: python3.11
Version: 3.11.2-6
Depends: media-types | mime-support, dpkg
"""


def describe(graph):
    return lambda names: [
        {"Package": name, "Version": "1", "Depends": graph[name]} for name in names if name in graph
    ]


def test_control_data_is_read_with_its_long_texts():
    first, second = parse_stanzas(TEXT)
    assert first["Description"] == "interactive\n A long\n text: with a colon"
    assert second["Package"] == "python3.11"


def test_the_first_of_several_alternatives_is_taken_without_its_version():
    first, second = parse_stanzas(TEXT)
    assert list(dependencies(first)) == ["python3-minimal", "python3.11", "libpython3-stdlib"]
    assert list(dependencies(second)) == ["media-types", "dpkg"]


def test_dependencies_of_dependencies_come_along_once():
    graph = {"a": "b, c", "b": "c", "c": "a", "unrelated": ""}
    assert [each["Package"] for each in closure(["a"], [], describe(graph))] == ["a", "b", "c"]


def test_what_is_left_out_takes_its_own_dependencies_with_it():
    graph = {"a": "dpkg", "dpkg": "tar", "tar": ""}
    assert [each["Package"] for each in closure(["a"], ["dpkg"], describe(graph))] == ["a"]


def test_a_package_that_is_not_to_be_had_is_named():
    with pytest.raises(ImageError, match="awk"):
        closure(["a"], [], describe({"a": "awk"}))


def test_scanners_find_every_package_in_the_database():
    stanzas = parse_stanzas(TEXT)
    database = "\n".join(status_stanza(each) for each in stanzas)
    assert [(each.name, each.version) for each in distribution_packages(database)] == [
        ("python3", "3.11.2-1+b1"),
        ("python3.11", "3.11.2-6"),
    ]


def test_a_public_base_is_used_where_a_registry_answers():
    assert reference(Base.PYTHON, registry=True) == "docker.io/library/python:3.11-slim-bookworm"
    assert (
        reference(Base.PYTHON, registry=False) == f"localhost/leadscore/base-python:{local_key(Base.PYTHON)}"
    )


def test_every_base_can_be_made_here():
    assert set(LOCAL) == set(Base)


def test_nothing_that_installs_is_wanted():
    for base in LOCAL.values():
        assert set(base.packages).isdisjoint({*INSTALLERS, "apt", "gcc"})


@pytest.mark.parametrize("known", ["docker.io/library/python", "python"])
def test_a_public_base_is_named_by_its_digest(known: str) -> None:
    digests = [f"elsewhere/python@sha256:{'1' * 64}", f"{known}@sha256:{'2' * 64}"]
    wanted = "docker.io/library/python:3.11-slim-bookworm"
    assert by_digest(wanted, digests) == f"{wanted}@sha256:{'2' * 64}"


def test_a_base_without_a_digest_is_refused() -> None:
    with pytest.raises(ImageError, match="without a digest"):
        by_digest("docker.io/library/python:3.11", ["other/python@sha256:1"])
