"""Which cluster is meant."""

from tools.cluster import kind
from tools.cluster.up import target


def test_without_kubeconfig_it_is_ours(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    assert not target().given
    assert target().cluster.kubeconfig == str(kind.kubeconfig_path())


def test_a_kubeconfig_of_the_caller_is_used(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", "/somewhere/config")
    assert target().given
    assert target().cluster.kubeconfig == "/somewhere/config"


def test_exporting_what_up_printed_still_means_ours(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", str(kind.kubeconfig_path()))
    assert not target().given
