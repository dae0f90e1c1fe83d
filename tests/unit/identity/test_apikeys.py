"""The key file: only digests in it, safe to edit by two people, errors without secrets."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from leadscore.cli.keys import app
from leadscore.errors import BadInputError, ConflictError, NotFoundError
from leadscore.identity.apikeys import KeyFileError, create_key, key_digest, read_keys, revoke_key


def test_the_file_holds_the_digest_and_never_the_key(tmp_path) -> None:
    path = tmp_path / "deep" / "api-keys.yaml"
    secret, entry = create_key(path, "crm", ["score", "explain"])
    assert secret not in path.read_text()
    assert read_keys(path) == (entry,)
    assert bytes.fromhex(entry.digest) == key_digest(secret.encode())
    assert path.stat().st_mode & 0o077 == 0


def test_a_name_is_given_once(tmp_path) -> None:
    path = tmp_path / "k.yaml"
    create_key(path, "crm", ["score"])
    with pytest.raises(ConflictError):
        create_key(path, "crm", ["score"])
    revoke_key(path, "crm")
    assert read_keys(path) == ()
    with pytest.raises(NotFoundError):
        revoke_key(path, "crm")


@pytest.mark.parametrize(
    ("name", "scopes"), [("", ["score"]), ("a b", ["score"]), ("a", []), ("a", ["root"])]
)
def test_names_and_scopes_are_checked(tmp_path, name, scopes) -> None:
    with pytest.raises(BadInputError):
        create_key(tmp_path / "k.yaml", name, scopes)
    assert read_keys(tmp_path / "k.yaml") == ()


def test_a_key_cannot_be_born_expired(tmp_path) -> None:
    with pytest.raises(BadInputError):
        create_key(tmp_path / "k.yaml", "a", ["score"], expires=datetime.now(UTC) - timedelta(seconds=1))


def test_keys_made_at_the_same_time_are_all_kept(tmp_path) -> None:
    path = tmp_path / "k.yaml"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: create_key(path, f"k{i}", ["score"]), range(24)))
    assert len(read_keys(path)) == 24


def test_an_error_never_repeats_what_somebody_pasted(tmp_path) -> None:
    path = tmp_path / "k.yaml"
    path.write_text("keys: [lsk_secret_pasted_by_mistake\n")
    with pytest.raises(KeyFileError) as caught:
        read_keys(path)
    assert "lsk_secret" not in str(caught.value)


def test_two_entries_of_one_name_are_refused(tmp_path) -> None:
    path = tmp_path / "k.yaml"
    create_key(path, "a", ["score"])
    text = path.read_text()
    path.write_text(text + text.split("keys:\n")[1])
    with pytest.raises(KeyFileError, match="same name"):
        read_keys(path)


def test_a_revocation_keeps_mode_owner_and_link(tmp_path) -> None:
    (tmp_path / "mounted").mkdir()
    path = tmp_path / "mounted" / "k.yaml"
    create_key(path, "a", ["score"])
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 10001, 10002)
    before = path.stat()
    link = tmp_path / "k.yaml"
    link.symlink_to("mounted/k.yaml")
    revoke_key(link, "a")
    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert link.is_symlink()
    assert read_keys(link) == ()


def test_the_command_prints_the_key_once_as_one_document(tmp_path) -> None:
    run = CliRunner().invoke
    path = str(tmp_path / "k.yaml")
    made = run(app, ["create", "crm", "--scope", "score", "--expires-in", "7d", "--api-keys", path, "--json"])
    assert made.exit_code == 0, made.output
    document = json.loads(made.stdout)
    assert document["key"].startswith("lsk_")
    assert document["scopes"] == ["score"]
    listed = run(app, ["list", "--api-keys", path, "--json"])
    (entry,) = json.loads(listed.stdout)
    assert entry["name"] == "crm"
    assert document["key"] not in listed.stdout
    assert json.loads(run(app, ["revoke", "crm", "--api-keys", path, "--json"]).stdout) == {"revoked": "crm"}
    assert json.loads(run(app, ["list", "--api-keys", path, "--json"]).stdout) == []
