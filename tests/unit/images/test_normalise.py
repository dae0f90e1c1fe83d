"""Archives: the same bytes from builds at different times, and nothing lost on the way."""

import hashlib
import io
import json
import tarfile

import pytest
from tools.images.normalise import LAYER_TIME, image_config, is_builders_own, normalise

EPOCH = 1_700_000_000
OLD = 1_500_000_000
NAME = "localhost/leadscore/x:1"


def layer(entries, *, now):
    """A layer as a builder writes it: (name, content or link or None for a folder, time or None for now)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content, time in entries:
            info = tarfile.TarInfo(name)
            info.mtime = now + 0.5 if time is None else time
            info.uname, info.gname, info.pax_headers = "builder", "builder", {"comment": str(now)}
            if isinstance(content, bytes):
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            else:
                info.type = tarfile.DIRTYPE if content is None else tarfile.LNKTYPE
                info.linkname = content or ""
                archive.addfile(info)
    return buffer.getvalue()


def saved(path, layers, *, now):
    """What `docker save` writes, at a time and with an id of a build."""
    config = {
        "architecture": "amd64",
        "os": "linux",
        "created": f"2030-01-01T00:00:{now % 60:02d}.123Z",
        "container": f"c{now}",
        "config": {
            "Hostname": f"h{now}",
            "Image": f"sha256:{now}",
            "User": "10001:10001",
            "Env": ["A=b"],
            "Labels": {"a": "b"},
        },
        "container_config": {"Hostname": f"h{now}"},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:x"] * len(layers)},
        "history": [
            {"created": "2020-01-01T00:00:00Z", "created_by": "base", "comment": str(now)},
            {"created": f"2030-01-01T00:00:{now % 60:02d}Z", "created_by": "USER", "empty_layer": True},
        ],
    }
    with tarfile.open(path, "w") as archive:
        names = []
        for number, content in enumerate(layers):
            names.append(f"{now}-{number}/layer.tar")
            add(archive, names[-1], content)
        add(archive, f"{now}.json", json.dumps(config).encode())
        add(archive, "manifest.json", json.dumps([{"Config": f"{now}.json", "Layers": names}]).encode())
    return path


def add(archive, name, content):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def build(tmp_path, now, entries=(("etc", None, None), ("etc/a", b"one", OLD), ("b", b"two", None))):
    target = tmp_path / f"{now}.out.tar"
    layers = [layer(entries, now=now), layer(reversed(entries), now=now)]
    digest = normalise(
        saved(tmp_path / f"{now}.tar", layers, now=now), target, name=NAME, epoch=EPOCH, labels={"role": "x"}
    )
    return digest, target


def read(target, name):
    with tarfile.open(target) as archive:
        return archive.extractfile(name).read()


def members(target, number=0):
    (manifest,) = json.loads(read(target, "manifest.json"))
    with tarfile.open(fileobj=io.BytesIO(read(target, manifest["Layers"][number]))) as inner:
        return {member.name: member for member in inner}


def test_two_builds_at_different_times_are_the_same_bytes(tmp_path):
    first, one = build(tmp_path, 1_800_000_001)
    second, other = build(tmp_path, 1_900_000_002)
    assert first == second
    assert one.read_bytes() == other.read_bytes()


def test_other_content_is_another_digest(tmp_path):
    first, _ = build(tmp_path, 1_800_000_001)
    second, _ = build(tmp_path, 1_800_000_001, entries=(("b", b"three", None),))
    assert first != second


def test_no_file_has_a_time_of_its_own_so_a_cached_layer_is_like_a_new_one(tmp_path):
    _, target = build(tmp_path, 1_800_000_001)
    assert {member.mtime for member in members(target).values()} == {LAYER_TIME}


def test_another_source_time_changes_the_configuration_and_no_layer(tmp_path):
    layers = [layer((("a", b"one", None),), now=1)]
    manifests = []
    for epoch in (EPOCH, EPOCH + 1):
        target = tmp_path / f"{epoch}.tar"
        digest = normalise(
            saved(tmp_path / "saved.tar", layers, now=1), target, name=NAME, epoch=epoch, labels={}
        )
        manifests.append(json.loads(read(target, "blobs/sha256/" + digest.removeprefix("sha256:"))))
    assert manifests[0]["layers"] == manifests[1]["layers"]
    assert manifests[0]["config"] != manifests[1]["config"]


def test_nothing_of_the_build_host_is_left(tmp_path):
    _, target = build(tmp_path, 1_800_000_001)
    content = target.read_bytes()
    for trace in (b"builder", b"h1800000001", b"c1800000001", b"2030-", b"1800000001"):
        assert trace not in content


def test_every_blob_has_the_digest_that_it_is_named_by(tmp_path):
    _, target = build(tmp_path, 1_800_000_001)
    with tarfile.open(target) as archive:
        blobs = [member.name for member in archive if member.name.startswith("blobs/")]
    assert len(blobs) == 3  # both layers hold the same files: one blob, the configuration, the manifest
    for blob in blobs:
        assert hashlib.sha256(read(target, blob)).hexdigest() == blob.rsplit("/", 1)[1]


def test_docker_and_oci_indices_name_the_same_image(tmp_path):
    digest, target = build(tmp_path, 1_800_000_001)
    (entry,) = json.loads(read(target, "index.json"))["manifests"]
    (of_docker,) = json.loads(read(target, "manifest.json"))
    manifest = json.loads(read(target, "blobs/sha256/" + digest.removeprefix("sha256:")))
    assert entry["digest"] == digest
    assert entry["annotations"]["io.containerd.image.name"] == of_docker["RepoTags"][0] == NAME
    assert of_docker["Config"].endswith(manifest["config"]["digest"].removeprefix("sha256:"))
    config = json.loads(read(target, of_docker["Config"]))
    assert config["rootfs"]["diff_ids"] == [each["digest"] for each in manifest["layers"]]


def test_a_hard_link_comes_after_its_file_wherever_it_was(tmp_path):
    entries = (("a-link", "z-file", OLD), ("z-file", b"content", OLD))
    _, target = build(tmp_path, 1_800_000_001, entries)
    assert list(members(target)) == ["z-file", "a-link"]


def test_whiteouts_stay_and_the_builders_own_files_go(tmp_path):
    entries = (
        ("usr/.wh.pip", b"", None),
        ("etc/resolv.conf", b"nameserver", None),
        ("./.dockerenv", b"", None),
    )
    _, target = build(tmp_path, 1_800_000_001, entries)
    assert list(members(target)) == ["usr/.wh.pip"]


@pytest.mark.parametrize(
    ("name", "expected"), [("etc/hosts", True), ("./etc/hosts", True), ("srv/etc/hosts", False)]
)
def test_only_the_builders_files_are_its_own(name, expected):
    assert is_builders_own(name) is expected


def test_the_configuration_keeps_what_a_container_needs():
    built = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"User": "7", "Env": ["A=b"], "Entrypoint": ["x"], "Image": "sha256:1", "Cmd": None},
    }
    config = image_config(built, ["sha256:2"], EPOCH, {"a": "b"})
    assert config["config"] == {"User": "7", "Env": ["A=b"], "Entrypoint": ["x"], "Labels": {"a": "b"}}
    assert config["created"] == "2023-11-14T22:13:20Z"
