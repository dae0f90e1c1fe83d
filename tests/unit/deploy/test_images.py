"""Images as values: what is pushed, and what a model's deployment leaves as it is."""

from __future__ import annotations

from tools.deploy.images import only_images, pushed

VALUES = {
    "image": {"repository": "localhost/leadscore/lead-scoring", "tag": "a1"},
    "jobsImage": {"repository": "localhost/leadscore/jobs", "tag": "b2"},
    "postgresql": {"image": {"repository": "postgres", "tag": "17"}, "enabled": True},
    "workload": {"replicas": 3},
}


def test_images_are_found_wherever_they_are_and_nothing_else() -> None:
    assert only_images(VALUES) == {
        "image": VALUES["image"],
        "jobsImage": VALUES["jobsImage"],
        "postgresql": {"image": {"repository": "postgres", "tag": "17"}},
    }


def test_local_images_are_pushed_and_named_by_digest_and_public_ones_left_alone() -> None:
    calls: list[tuple[str, str]] = []

    def push(local: str, remote: str) -> str:
        calls.append((local, remote))
        return "sha256:" + "d" * 64

    found = pushed(VALUES, "registry.example.com/team/", push)
    assert found["image"] == {
        "repository": "registry.example.com/team/leadscore/lead-scoring", "digest": "sha256:" + "d" * 64,
    }  # fmt: skip
    assert calls[1] == (
        "localhost/leadscore/jobs:b2", "registry.example.com/team/leadscore/jobs:b2",
    )  # fmt: skip
    assert "postgresql" not in {key for key, value in found.items() if value}
