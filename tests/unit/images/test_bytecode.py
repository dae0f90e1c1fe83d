"""Bytecode in images: the same whenever it is made, and named by the image's paths."""

import marshal
import os

from tools.images.bytecode import compile_folder, shares


def compiled(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*.pyc")}


def test_names_are_dealt_out_the_same_way_whatever_their_order():
    assert shares(["c", "a", "b"], 2) == [["a", "c"], ["b"]]
    assert shares(["b", "c", "a"], 2) == shares(["c", "a", "b"], 2)
    assert shares(["a"], 4) == [["a"]]


def test_two_folders_at_different_times_compile_to_the_same_bytes(tmp_path):
    results = []
    for time in (1_000_000_000, 1_500_000_000):
        folder = tmp_path / str(time)
        for name in ("a", "b", "c"):
            package = folder / name
            package.mkdir(parents=True)
            (package / "__init__.py").write_text(f"X = {{'{name}', 'y', 'z'}}\ndef f(a={name!r}): return a\n")
            os.utime(package / "__init__.py", (time, time))
        compile_folder(folder, "/opt/x")
        results.append(sorted(path.read_bytes() for path in folder.rglob("*.pyc")))
    assert len(results[0]) == 3
    assert results[0] == results[1]


def test_tracebacks_name_the_path_in_the_image_and_times_are_not_compared(tmp_path):
    (tmp_path / "m.py").write_text("x = 1\n")
    compile_folder(tmp_path, "/opt/leadscore/app")
    (content,) = compiled(tmp_path).values()
    assert int.from_bytes(content[4:8], "little") == 1  # PEP 552: hash-based, unchecked
    assert marshal.loads(content[16:]).co_filename == "/opt/leadscore/app/m.py"


def test_a_template_that_is_no_python_does_not_stop_the_rest(tmp_path):
    (tmp_path / "broken.py").write_text("{{ name }} = \n")
    (tmp_path / "fine.py").write_text("x = 1\n")
    compile_folder(tmp_path, "/opt/x")
    assert set(compiled(tmp_path)) == {"fine.cpython-311.pyc"}
