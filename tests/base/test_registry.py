from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from memobench.base.errors import UsageError
from memobench.base.registry import Registry, load_plugin
from memobench.generator import GENERATORS, Generator
from memobench.task import TASKS


def test_names_are_files_and_nothing_private() -> None:
    assert {"ldm", "replay", "fresh", "noise"} <= set(GENERATORS.names())
    assert not [name for name in GENERATORS.names() if name.startswith("_")]
    assert TASKS.names() == ["ct", "ct2d", "mr", "mr2d", "xray"]


@pytest.mark.parametrize("name", ["ct", "ct2d", "mr", "mr2d", "xray"])
def test_every_task_is_named_as_its_file(name: str) -> None:
    task = TASKS.get(name)
    assert task.name == name
    assert task.dim == (2 if name in ("ct2d", "mr2d", "xray") else 3)


def test_an_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(UsageError, match='unknown task "xry"; did you mean "xray"'):
        TASKS.get("xry")


def test_a_name_is_taken_once() -> None:
    registry: Registry[object] = Registry("thing", "memobench.none", "memobench.none")
    registry.register("a")(int)
    with pytest.raises(ValueError, match='the thing "a" is registered already'):
        registry.register("a")(float)


def test_a_plugin_file_adds_a_name(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from memobench.task import TASKS, SplitSizes, TaskInfo\n"
        'TASKS.register("mine")(TaskInfo("mine", "1", "x", "radiograph", (32, 32), SplitSizes(1, 1, 1, 1), 1, ""))\n'
    )
    try:
        load_plugin(file)
        assert "mine" in TASKS.names()
        load_plugin(file)  # twice is harmless
    finally:
        TASKS._loaded.pop("mine", None)


def test_a_broken_plugin_names_its_reason(tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    file.write_text("import nothing_of_that_name\n")
    with pytest.raises(UsageError, match=r"broken\.py fails on import: ModuleNotFoundError"):
        load_plugin(file)
    with pytest.raises(UsageError, match="is not a file"):
        load_plugin(tmp_path / "none.py")


def test_a_broken_entry_point_harms_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("bad", "nothing_of_that_name:Thing", "memobench.baselines")
    monkeypatch.setattr("memobench.base.registry.entry_points", lambda group: [point])
    assert "bad" in GENERATORS.names()
    assert issubclass(GENERATORS.get("noise"), Generator)
    with pytest.raises(UsageError, match=r'the model "bad".*cannot be loaded'):
        GENERATORS.get("bad")
