"""What the facts about a machine mean for a cluster on it."""

import dataclasses

import pytest
from tools.cluster.errors import ClusterError
from tools.cluster.machine import CAP_SYS_RESOURCE, Machine, has_capability, plan

WORKSTATION = Machine(
    is_root=False,
    docker_answers=True,
    docker_is_ours=False,
    has_dockerd=True,
    has_image_tools=True,
    has_apt=True,
    has_sys_resource=True,
    cgroup_v1=False,
    registry_answers=True,
)
BARE = Machine(
    is_root=True,
    docker_answers=False,
    docker_is_ours=False,
    has_dockerd=False,
    has_image_tools=False,
    has_apt=True,
    has_sys_resource=False,
    cgroup_v1=True,
    registry_answers=False,
)


def test_an_ordinary_workstation_needs_nothing_special():
    todo = plan(WORKSTATION)
    assert todo.notes == ()
    assert not any(
        (todo.install, todo.start_docker, todo.drop_sys_resource, todo.build_node_image, todo.cgroup_v1)
    )


def test_a_bare_machine_gets_everything_and_is_told_so():
    todo = plan(BARE)
    assert all(
        (todo.install, todo.start_docker, todo.drop_sys_resource, todo.build_node_image, todo.cgroup_v1)
    )
    assert len(todo.notes) == 4


def test_a_second_run_beside_our_own_daemon_keeps_the_same_node_image():
    first = plan(BARE)
    again = plan(dataclasses.replace(BARE, has_dockerd=True, docker_answers=True, docker_is_ours=True))
    assert not again.start_docker
    assert (again.drop_sys_resource, again.cgroup_v1) == (first.drop_sys_resource, first.cgroup_v1)


def test_a_daemon_of_somebody_else_is_not_given_our_runtime():
    assert not plan(dataclasses.replace(WORKSTATION, has_sys_resource=False)).drop_sys_resource


def test_without_docker_and_root_the_way_out_is_named():
    with pytest.raises(ClusterError) as error:
        plan(dataclasses.replace(WORKSTATION, docker_answers=False))
    assert "KUBECONFIG" in error.value.hint


def test_without_apt_docker_cannot_be_installed():
    with pytest.raises(ClusterError, match="no apt"):
        plan(dataclasses.replace(BARE, has_apt=False))


def test_a_node_image_cannot_be_made_without_root():
    with pytest.raises(ClusterError, match="without root"):
        plan(dataclasses.replace(WORKSTATION, registry_answers=False))


def test_a_docker_from_elsewhere_is_not_replaced_for_the_node_image():
    machine = dataclasses.replace(WORKSTATION, is_root=True, registry_answers=False, has_image_tools=False)
    assert plan(machine).install == ("debootstrap",)


@pytest.mark.parametrize(
    ("mask", "expected"),
    [("000001ffffffffff", True), ("000001fffeffffff", False), ("0000000001000000", True)],
)
def test_a_capability_is_read_from_the_bounding_set(mask, expected):
    assert has_capability(f"Name:\tx\nCapBnd:\t{mask}\nCapAmb:\t0\n", CAP_SYS_RESOURCE) is expected
