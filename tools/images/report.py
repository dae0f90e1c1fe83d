"""How large an image is and what fills it, as Markdown."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tools.images.built import Built
from tools.images.contents import Contents, compressed_size

PACKAGES = "opt/leadscore/packages/"
APP = "opt/leadscore/app/"
# Files of the base are told apart this far down.
BASE_DEPTH = 3


def place(path: str) -> str:
    """The row of the table that a file belongs to; pure."""
    if path.startswith(PACKAGES):
        top = path.removeprefix(PACKAGES).split("/")[0]
        if top.endswith((".dist-info", ".data")):
            return "metadata and licences of Python packages"
        # What auditwheel has put beside a package (`numpy.libs`) is the package's.
        return top.split(".")[0].removesuffix("_binary") + " (Python package)"
    if path.startswith(APP):
        return "our code"
    if path.startswith("model/"):
        return "the model"
    return "/" + "/".join(path.split("/")[:BASE_DEPTH]) + " (base)"


def rows(contents: Contents) -> list[tuple[str, int]]:
    """What fills an image, largest first: (what, bytes); pure."""
    total = Counter[str]()
    for layer in contents.layers:
        for path, size in layer.items():
            total[place(path)] += size
    return total.most_common()


def markdown(built: Built, contents: Contents, top: int) -> str:
    """A table of the `top` largest parts."""
    megabytes = 1e6
    largest = rows(contents)
    compressed = compressed_size(Path(built.archive)) / megabytes
    lines = [
        f"### {built.role}: {contents.size / megabytes:.1f} MB, {compressed:.1f} MB compressed",
        "",
        "| what | MB | share |",
        "|---|---|---|",
    ]
    shown = [*largest[:top], ("everything else", sum(size for _, size in largest[top:]))]
    lines += [
        f"| {what} | {size / megabytes:.1f} | {100 * size / contents.size:.0f} % |" for what, size in shown
    ]
    return "\n".join([*lines, ""])
