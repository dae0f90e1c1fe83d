"""What is taken away when the daemon stops, and what stays."""

from tools.cluster.firewall import without_docker

BEFORE = """\
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
-A INPUT -i lo -j ACCEPT
COMMIT
"""
AFTER = """\
*filter
:INPUT ACCEPT [12:3971]
:FORWARD ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -p tcp --dport 22 -j ACCEPT
-A FORWARD -j DOCKER-USER
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i br-0123456789ab ! -o br-0123456789ab -j ACCEPT
-A DOCKER-USER -j RETURN
COMMIT
"""


def test_dockers_chains_and_rules_go():
    kept = without_docker(AFTER, BEFORE)
    assert "DOCKER" not in kept
    assert "docker0" not in kept
    assert "br-0123456789ab" not in kept


def test_rules_that_others_have_added_meanwhile_stay():
    kept = without_docker(AFTER, BEFORE)
    assert "-A INPUT -i lo -j ACCEPT" in kept
    assert "--dport 22" in kept
    assert kept.count("COMMIT") == 1


def test_rules_of_a_docker_that_was_there_before_stay():
    assert without_docker(AFTER, AFTER) == AFTER
