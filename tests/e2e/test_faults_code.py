"""Parameters that are code stay text; a trial is the same in a forked and in a spawned process."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from paperlib.core.errors import PaperlibError
from paperlib.core.paths import Layout
from paperlib.report import notebooks
from paperlib.studies import sections
from paperlib.studies.sections import Notebook
from paperlib.trials.differences import list_differences
from paperlib.trials.store import Store


@pytest.fixture
def echo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Notebook:
    """The only notebook of a project: it shows its parameters."""
    v4 = nbformat.v4
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    words = v4.new_code_cell("profile = 'smoke'\nwords = []", metadata={"tags": ["parameters"]})
    notebook = v4.new_notebook(metadata=kernel, cells=[words, v4.new_code_cell("print(ascii((profile, words)))")])
    one = Notebook("09_echo", lambda profile: [])
    (tmp_path / "notebooks").mkdir()
    nbformat.write(notebook, tmp_path / "notebooks" / f"{one.name}.ipynb")
    monkeypatch.setenv("PAPERLIB_ROOT", str(tmp_path))
    monkeypatch.setattr(sections, "NOTEBOOKS", {"09": one})
    return one


def test_notebook_parameters_that_are_code_arrive_as_text(echo: Notebook, layout: Layout, tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    act = f"__import__('pathlib').Path({str(sprung)!r}).touch()"
    exec(act)
    assert sprung.exists(), "the code itself works"
    sprung.unlink()
    quotes = [f"{q}+{act}+{q}" for q in ("'", '"', "'''", '"""')] + [f"'\n{act}\n'", f"\\'; {act} #", f"{{{act}}}"]
    yaml = [f"!!python/object/apply:os.system ['touch {sprung}']", f"%run {sprung}", f"!touch {sprung}", f"$({act})"]
    profile = f"x'); {act} #"
    (made,) = notebooks.execute(None, "smoke", layout, {"words": [*quotes, *yaml], "profile": profile})
    output = nbformat.read(made, as_version=4).cells[-1].outputs[0].text
    assert output.strip() == ascii((profile, [*quotes, *yaml]))
    assert not sprung.exists()


def test_names_of_parameters_that_are_code_are_refused(echo: Notebook, layout: Layout, tmp_path: Path) -> None:
    name = f"words = open({str(tmp_path / 'sprung')!r}, 'w'); x"
    with pytest.raises(PaperlibError, match="parameter"):
        notebooks.execute(None, "smoke", layout, {name: 1})
    assert not (tmp_path / "sprung").exists()


def test_fork_and_spawn_give_the_same_record(layout: Layout, tmp_path: Path) -> None:
    script = tmp_path / "both.py"  # a file, since spawn imports the main module again
    script.write_text(
        "import multiprocessing\n"
        "from paperlib.core.paths import Layout\n"
        "from paperlib.trials.runner import run\n"
        "from paperlib.schema.trial import make_trial\n\n\n"
        "def work(name):\n"
        "    run(make_trial(epochs=2, train_images=300, test_images=100), Layout.of(name))\n\n\n"
        "if __name__ == '__main__':\n"
        "    for name in ('fork', 'spawn'):\n"
        "        process = multiprocessing.get_context(name).Process(target=work, args=(name,))\n"
        "        process.start()\n"
        "        process.join(timeout=200)\n"
        "        assert process.exitcode == 0, name\n"
        "    work('here')\n"
    )
    subprocess.run([sys.executable, str(script)], check=True, timeout=300)
    found = [Store(Layout.of(name)).records() for name in ("here", "fork", "spawn")]
    assert [len(records) for records in found] == [1, 1, 1]
    assert [list_differences(found[0][0], other) for (other,) in found[1:]] == [[], []]
