"""Plans: what decides about an image decides about its tag, and nothing else does."""

import io
import os
import tarfile

import pytest
from tools.images import build, load, paths
from tools.images.__main__ import chosen, main
from tools.images.built import Built
from tools.images.context import write_context
from tools.images.errors import ImageError
from tools.images.model import plan_model
from tools.images.roles import ROLES, find
from tools.images.values import helm_values


@pytest.fixture
def postgresql():
    return find("postgresql")


def test_the_same_sources_have_the_same_tag(postgresql):
    assert build.plan(postgresql, registry=False) == build.plan(postgresql, registry=False)


def test_another_time_base_or_name_is_another_image(postgresql, monkeypatch):
    plain = build.plan(postgresql, registry=False)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    later = build.plan(postgresql, registry=False)
    assert later.key != plain.key
    assert build.plan(postgresql, registry=False, prefix="registry.example/x").key != later.key


def test_a_given_tag_is_the_images_tag(postgresql):
    assert (
        build.plan(postgresql, registry=False, tag="1.2.3").reference
        == "localhost/leadscore/postgresql:1.2.3"
    )


def test_a_changed_recipe_is_another_image(postgresql, monkeypatch):
    before = build.plan(postgresql, registry=False).key
    monkeypatch.setattr(build, "RECIPE_MODULES", (*build.RECIPE_MODULES, "values.py"))
    assert build.plan(postgresql, registry=False).key != before


def test_where_a_registry_answers_the_present_builder_is_used_as_it_is():
    said = build.build_command("a:1", "python:3.11@sha256:0", fresh=False, buildx=True)
    assert said[:4] == ["docker", "buildx", "build", "--load"]
    # An attestation would make it an index, which is no image to `docker save`.
    assert "--provenance=false" in said
    assert said[-5:] == ["--tag", "a:1", "--build-arg", "BASE=python:3.11@sha256:0", "-"]


def test_where_none_answers_the_builder_is_one_that_asks_none():
    said = build.build_command("a:1", "localhost/base:1", fresh=True, buildx=False)
    assert said[:2] == ["docker", "build"]
    assert "--no-cache" in said
    assert "--load" not in said


@pytest.mark.parametrize(("registry", "buildx"), [(True, True), (True, False), (False, True)])
def test_buildx_is_taken_where_it_is_and_a_registry_answers(monkeypatch, tmp_path, registry, buildx):
    taken = []

    def docker_build(*_, buildx: bool, **__):
        taken.append(buildx)
        raise ImageError("far enough")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(build, "has_buildx", lambda: buildx)
    monkeypatch.setattr(build, "docker_build", docker_build)
    planned = build.plan(find("postgresql"), registry=registry)
    with pytest.raises(ImageError, match="far enough"):
        build.assemble(planned, [], lambda _: None, registry=registry)
    assert taken == [registry and buildx]


def test_postgresql_is_built_only_where_no_registry_has_it():
    assert "postgresql" not in {role.name for role in chosen([], registry=True)}
    assert chosen([], registry=False) == list(ROLES)
    assert chosen(["postgresql"], registry=True) == [find("postgresql")]


def test_a_context_is_the_same_stream_whoever_owns_its_files(tmp_path):
    streams = []
    for mode, name in ((0o600, "one"), (0o664, "other")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "a").write_text("a")
        (folder / "a").chmod(mode)
        (folder / "b").symlink_to("a")
        stream = io.BytesIO()
        write_context([(folder, "app")], 1_700_000_000, stream)
        streams.append(stream.getvalue())
    assert streams[0] == streams[1]
    with tarfile.open(fileobj=io.BytesIO(streams[0])) as archive:
        assert [(member.name, member.mode & 0o777) for member in archive][:2] == [
            ("app", 0o755),
            ("app/a", 0o644),
        ]


def test_two_names_of_one_file_are_written_out_twice(tmp_path):
    (tmp_path / "f").mkdir()
    (tmp_path / "f/a").write_text("content")
    (tmp_path / "f/b").hardlink_to(tmp_path / "f/a")
    stream = io.BytesIO()
    write_context([(tmp_path / "f", "f")], 0, stream)
    with tarfile.open(fileobj=io.BytesIO(stream.getvalue())) as archive:
        assert archive.extractfile("f/b").read() == b"content"
        assert not archive.getmember("f/b").islnk()


def test_only_the_newest_are_kept(tmp_path):
    for number in range(4):
        (tmp_path / str(number)).touch()
        os.utime(tmp_path / str(number), (number, number))
    paths.keep_newest(list(tmp_path.iterdir()), 2)
    assert {path.name for path in tmp_path.iterdir()} == {"2", "3"}


def test_helm_values_name_images_where_the_chart_wants_them():
    built = Built("service", "localhost/leadscore/lead-scoring:0.1.0-abc", "sha256:1", "base", 0, "x.tar")
    values = helm_values([(find("service"), built), (find("loadtest"), built)])
    image = {
        "repository": "localhost/leadscore/lead-scoring",
        "tag": "0.1.0-abc",
        "pullPolicy": "IfNotPresent",
    }
    assert values == {"image": image, "loadTest": {"image": image}}
    assert helm_values([(find("service"), built)], digests=True)["image"]["digest"] == "sha256:1"


def test_what_a_node_has_is_read_with_its_digests():
    listing = (
        "REF TYPE DIGEST SIZE PLATFORMS LABELS\n"
        "localhost/leadscore/x:1 application/vnd.oci.image.manifest.v1+json sha256:12 1.9 MiB "
        "linux/amd64 io.cri=managed\n"
    )
    assert load.parse_images(listing) == {"localhost/leadscore/x:1": "sha256:12"}
    assert load.parse_images("") == {}


def test_only_images_that_nobody_uses_or_can_load_again_are_pruned():
    present = {
        "l/jobs:1": "a",
        "l/jobs@a": "a",
        "l/jobs:2": "b",
        "l/jobs:3": "c",
        "l/model-x:1": "d",
        "other:1": "e",
    }
    assert load.unneeded(present, {"l/jobs@a"}, {"l/jobs:2", "l/jobs:gone"}, "l") == ["l/jobs:3"]


def test_what_is_no_artefact_is_refused(tmp_path):
    with pytest.raises(ImageError, match=r"manifest\.json"):
        plan_model(tmp_path, "leads", 1, registry=False)
    with pytest.raises(ImageError, match="Leads"):
        plan_model(tmp_path, "Leads", 1, registry=False)


def test_another_model_at_the_same_version_is_another_archive_under_the_same_tag(tmp_path):
    plans = []
    for content in ("a", "b"):
        (tmp_path / "manifest.json").write_text(content)
        plans.append(plan_model(tmp_path, "leads", 3, registry=False))
    assert plans[0].reference == plans[1].reference == "localhost/leadscore/model-leads:3"
    assert plans[0].archive != plans[1].archive


def test_an_unknown_role_ends_with_code_1_and_what_there_is(capsys):
    assert main(["values", "no-such-role"]) == 1
    assert "service" in capsys.readouterr().err
