"""The add-ons' manifests and images, without a cluster."""

import dataclasses

import pytest
import yaml
from tests.support.chart import ROOT
from tools.cluster.addons.catalogue import ADDONS, manifests
from tools.cluster.images import ADDON_IMAGES, image_map, with_images
from tools.cluster.up import PORTS

OWN = [dataclasses.replace(addon, module=None) for addon in ADDONS]


def images(documents):
    return [
        container["image"]
        for document in documents
        if document["kind"] == "Deployment"
        for container in document["spec"]["template"]["spec"]["containers"]
    ]


@pytest.mark.parametrize("addon", OWN, ids=lambda addon: addon.name)
def test_a_local_cluster_pulls_nothing(addon):
    assert all(image.startswith("localhost/") for image in images(manifests(addon, local=True)))


@pytest.mark.parametrize("addon", OWN, ids=lambda addon: addon.name)
def test_a_cluster_with_a_registry_gets_public_images_of_a_stated_version(addon):
    for image in images(manifests(addon, local=False)):
        assert not image.startswith("localhost/")
        assert ":v" in image


def test_the_same_program_has_the_same_version_in_both():
    assert {image.public for image in ADDON_IMAGES} == {
        "quay.io/argoproj/argo-rollouts:v1.10.1",
        "docker.io/library/traefik:v3.6.12",
        "quay.io/prometheus/alertmanager:v0.31.1",
        "quay.io/prometheus/prometheus:v3.13.5",
        "registry.k8s.io/metrics-server/metrics-server:v0.9.0",
    }


def test_the_sample_alertmanager_is_the_pinned_one():
    sample = yaml.safe_load_all((ROOT / "manifests" / "local-cluster" / "alertmanager.yaml").read_text())
    assert list(images(list(sample))) == [next(i.public for i in ADDON_IMAGES if "alertmanager" in i.public)]


def test_an_image_that_nobody_pinned_is_refused():
    deployment = {
        "kind": "Deployment",
        "spec": {"template": {"spec": {"containers": [{"image": "other/thing:1"}]}}},
    }
    with pytest.raises(LookupError, match="other/thing"):
        with_images([deployment], image_map(local=True))


def test_pods_run_without_rights_and_on_a_read_only_root():
    for addon in OWN:
        for document in manifests(addon, local=True):
            if document["kind"] != "Deployment":
                continue
            (container,) = document["spec"]["template"]["spec"]["containers"]
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_every_open_node_port_is_mapped_to_the_host():
    node_ports = {
        port["nodePort"]
        for addon in OWN
        for document in manifests(addon, local=True)
        if document["kind"] == "Service"
        for port in document["spec"]["ports"]
        if "nodePort" in port
    }
    assert node_ports == set(PORTS)


def test_rules_are_read_where_their_config_map_is_mounted_and_may_be_missing():
    (addon,) = (each for each in OWN if each.name == "prometheus")
    documents = manifests(addon, local=True)
    (configuration,) = (d for d in documents if d["kind"] == "ConfigMap")
    (deployment,) = (d for d in documents if d["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    (volume,) = (v for v in pod["volumes"] if v["name"] == "rules")
    assert volume["configMap"] == {"name": "prometheus-rules", "optional": True}
    (mount,) = (m for m in pod["containers"][0]["volumeMounts"] if m["name"] == "rules")
    assert f"rule_files: [{mount['mountPath']}/*.yaml]" in configuration["data"]["prometheus.yml"]
