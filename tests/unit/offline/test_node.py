"""Pure parts of the node image."""

import dataclasses

import pytest
from tools.cluster.errors import ClusterError
from tools.cluster.machine import Plan
from tools.offline import node
from tools.offline.node import containerd_configuration, distribution_mirror, node_key

PLAN = Plan(
    install=(), start_docker=True, drop_sys_resource=True, build_node_image=True, cgroup_v1=True, notes=()
)
KINDS_OWN = """\
  base_runtime_spec = "/etc/containerd/cri-base.json"
    SystemdCgroup = true
  sandbox_image = "registry.k8s.io/pause:3.10"
  restrict_oom_score_adj = false
"""


@pytest.fixture(autouse=True)
def _pause(monkeypatch):
    monkeypatch.setattr(node, "_pause_tag", lambda: "3.10.2")


def test_containerd_takes_the_sandbox_image_that_is_preloaded():
    text = containerd_configuration(KINDS_OWN, PLAN)
    assert 'sandbox_image = "localhost/k8s/pause:3.10.2"' in text
    assert "base_runtime_spec" not in text


def test_containerd_follows_the_quirks_of_the_machine():
    text = containerd_configuration(KINDS_OWN, PLAN)
    assert "SystemdCgroup = false" in text
    assert "restrict_oom_score_adj = true" in text


def test_containerd_is_left_alone_on_a_machine_without_quirks():
    text = containerd_configuration(
        KINDS_OWN, dataclasses.replace(PLAN, drop_sys_resource=False, cgroup_v1=False)
    )
    assert "SystemdCgroup = true" in text
    assert "restrict_oom_score_adj = false" in text


def test_quirks_that_are_built_in_make_another_image():
    assert node_key(PLAN) != node_key(dataclasses.replace(PLAN, cgroup_v1=False))
    assert node_key(PLAN) == node_key(dataclasses.replace(PLAN, start_docker=False, notes=("x",)))


@pytest.mark.parametrize(
    "sources",
    [
        "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\n",
        "# comment\ndeb http://mirror.example/debian bookworm main\n",
        "deb [signed-by=/k.gpg arch=amd64] http://mirror.example/debian bookworm main\n",
    ],
)
def test_the_mirror_is_the_one_that_apt_uses(sources):
    assert distribution_mirror(sources) == "http://mirror.example/debian"


def test_no_package_source_is_said():
    with pytest.raises(ClusterError, match="No package source"):
        distribution_mirror("# nothing\n")
