"""The runtime wrapper, on the part of a bundle that it changes."""

from tools.cluster.runc_fewer_caps import without


def test_the_capability_is_taken_out_of_every_set_and_others_stay():
    process = {
        "capabilities": {
            "bounding": ["CAP_CHOWN", "CAP_SYS_RESOURCE"],
            "effective": ["CAP_SYS_RESOURCE", "CAP_SYS_ADMIN"],
        },
        "args": ["/sbin/init"],
    }
    changed = without(process)
    assert changed["capabilities"] == {"bounding": ["CAP_CHOWN"], "effective": ["CAP_SYS_ADMIN"]}
    assert changed["args"] == ["/sbin/init"]


def test_a_score_that_needs_the_capability_is_raised_to_zero():
    assert without({"oomScoreAdj": -998})["oomScoreAdj"] == 0
    assert without({"oomScoreAdj": 500})["oomScoreAdj"] == 500


def test_a_process_without_capabilities_is_left_as_it_is():
    assert without({"args": ["x"]}) == {"args": ["x"]}
    assert without({"capabilities": None}) == {"capabilities": None}
