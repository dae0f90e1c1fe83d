from benchmarks.service import api_key, service_plan

from leadscore.identity.apikeys import digest_of, read_keys


def test_each_measurement_has_a_key_of_its_own_in_the_services_key_file(tmp_path):
    folder = tmp_path / "ours"
    first, second = api_key(folder), api_key(folder)
    plan = service_plan(tmp_path / "artefact", folder)

    known = read_keys(folder / "api-keys.yaml")

    assert plan.environ["LEADSCORE_API_KEYS"] == str(folder / "api-keys.yaml")
    assert {entry.digest for entry in known} == {digest_of(key.encode()).hex() for key in (first, second)}


def test_nothing_of_the_users_own_installation_is_touched(tmp_path):
    environ = service_plan(tmp_path / "artefact", tmp_path / "ours").environ

    assert all(
        str(tmp_path) in environ[name]
        for name in ("LEADSCORE_HOME", "LEADSCORE_EVENTS_URL", "LEADSCORE_MODEL_DIR")
    )
