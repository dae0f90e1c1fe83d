"""The kind configuration that a plan leads to."""

import dataclasses

import yaml
from tools.cluster.kind import configuration
from tools.cluster.machine import Plan

PUBLIC = Plan(
    install=(),
    start_docker=False,
    drop_sys_resource=False,
    build_node_image=False,
    cgroup_v1=False,
    notes=(),
)
LOCAL = dataclasses.replace(PUBLIC, build_node_image=True, cgroup_v1=True)
PORTS = {30800: 31800, 30990: 31990}


def document(plan: Plan):
    return yaml.safe_load(configuration(plan, "node:1", PORTS))


def patches(plan: Plan):
    return {patch["kind"]: patch for patch in map(yaml.safe_load, document(plan)["kubeadmConfigPatches"])}


def test_ports_are_open_on_the_loopback_interface_only():
    mappings = document(PUBLIC)["nodes"][0]["extraPortMappings"]
    assert {(m["containerPort"], m["hostPort"]) for m in mappings} == set(PORTS.items())
    assert {m["listenAddress"] for m in mappings} == {"127.0.0.1"}


def test_the_public_image_keeps_its_own_network_and_images():
    assert "disableDefaultCNI" not in document(PUBLIC)["networking"]
    assert set(patches(PUBLIC)) == {"KubeletConfiguration"}


def test_our_image_brings_its_network_and_its_control_plane():
    assert document(LOCAL)["networking"]["disableDefaultCNI"] is True
    assert patches(LOCAL)["ClusterConfiguration"]["imageRepository"] == "localhost/k8s"


def test_the_kubelet_accepts_cgroup_v1_only_where_the_machine_has_it():
    assert patches(LOCAL)["KubeletConfiguration"]["failCgroupV1"] is False
    assert "failCgroupV1" not in patches(PUBLIC)["KubeletConfiguration"]


def test_claims_are_provisioned_on_the_node_and_not_in_the_controller_container():
    (volume,) = patches(LOCAL)["ClusterConfiguration"]["controllerManager"]["extraVolumes"]
    assert volume["mountPath"] == "/tmp/hostpath_pv"


def test_the_configuration_is_the_same_every_time():
    assert configuration(LOCAL, "node:1", PORTS) == configuration(LOCAL, "node:1", dict(PORTS))
