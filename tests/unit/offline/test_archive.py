"""OCI archives: their bytes and their form."""

import hashlib
import json
import os
import tarfile

import pytest
from tools.offline.archive import Image, write_archive


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "program"
    path.write_bytes(b"#!/bin/true\n" * 100)
    return path


def image_of(program):
    return Image(
        "localhost/x:v1", files=[(program, "/bin/x")], directories=["/tmp"], entrypoint=["/bin/x"], user="7"
    )


def test_an_archive_has_the_same_bytes_whenever_it_is_made(tmp_path, program):
    write_archive(image_of(program), tmp_path / "a.tar")
    os.utime(program, (1, 1))
    program.chmod(0o700)
    write_archive(image_of(program), tmp_path / "b.tar")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_every_blob_has_the_digest_that_it_is_named_by(tmp_path, program):
    write_archive(image_of(program), tmp_path / "a.tar")
    with tarfile.open(tmp_path / "a.tar") as archive:
        blobs = [member for member in archive if member.name.startswith("blobs/sha256/")]
        assert len(blobs) == 3
        for blob in blobs:
            content = archive.extractfile(blob)
            assert content is not None
            assert hashlib.sha256(content.read()).hexdigest() == blob.name.rsplit("/", 1)[1]


def test_the_archive_names_its_image_and_user(tmp_path, program):
    write_archive(image_of(program), tmp_path / "a.tar")
    with tarfile.open(tmp_path / "a.tar") as archive:
        index = json.load(archive.extractfile("index.json"))
        entry = index["manifests"][0]
        manifest = json.load(archive.extractfile("blobs/sha256/" + entry["digest"].split(":")[1]))
        config = json.load(archive.extractfile("blobs/sha256/" + manifest["config"]["digest"].split(":")[1]))
    assert entry["annotations"]["io.containerd.image.name"] == "localhost/x:v1"
    assert (config["config"]["User"], config["config"]["Entrypoint"]) == ("7", ["/bin/x"])


def test_no_work_file_is_left(tmp_path, program):
    write_archive(image_of(program), tmp_path / "a.tar")
    assert {path.name for path in tmp_path.iterdir()} == {"a.tar", "program"}
