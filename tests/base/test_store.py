from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import pytest
from memobench.base.errors import MemobenchError
from memobench.base.store import Store, digest_of, write_json, writing_into


def test_a_stage_is_built_once(tmp_path: Path) -> None:
    built = []

    def build(folder: Path, scratch: Path) -> None:
        built.append(1)
        (folder / "value").write_text("7")

    first, stored = Store(tmp_path).get("stage", {"a": 1}, build)
    assert not stored
    second, stored = Store(tmp_path).get("stage", {"a": 1}, build)
    assert stored
    assert first == second
    assert (second / "value").read_text() == "7"
    Store(tmp_path).get("stage", {"a": 2}, build)
    Store(tmp_path, again=True).get("stage", {"a": 1}, build)
    assert len(built) == 3


def test_an_interrupted_stage_leaves_its_scratch_and_nothing_else(tmp_path: Path) -> None:
    def fail(folder: Path, scratch: Path) -> None:
        (scratch / "checkpoint").write_text("half")
        (folder / "value").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Store(tmp_path).get("stage", {"a": 1}, fail)
    assert not (tmp_path / "stage" / digest_of({"a": 1})).exists()

    def finish(folder: Path, scratch: Path) -> None:
        assert (scratch / "checkpoint").read_text() == "half"
        assert not (folder / "value").exists()

    path, _ = Store(tmp_path).get("stage", {"a": 1}, finish)
    assert not path.with_suffix(".scratch").exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MemobenchError, match=r"cannot write into .*file.*choose another --out"):
        Store(tmp_path / "file").get("stage", {}, lambda folder, scratch: None)


def _slow(folder: Path, scratch: Path) -> None:
    time.sleep(0.5)
    with (folder.parent / "count").open("a") as handle:
        handle.write("x")


def _get(root: Path) -> None:
    Store(root).get("stage", {"a": 1}, _slow)


def test_two_processes_build_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=_get, args=(tmp_path,)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert (tmp_path / "stage" / "count").read_text() == "x"


def test_json_refuses_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert not (tmp_path / "x.json").exists()


@pytest.mark.parametrize("where", ["out/.stages/data/x", "out/.stages", "out", "."])
def test_whatever_part_of_the_path_fails_is_said_in_one_line(tmp_path: Path, where: str) -> None:
    folder = tmp_path / "out" / ".stages"
    with pytest.raises(MemobenchError, match=r"cannot write into .*\.stages: Read-only file system; free space"):  # noqa: SIM117
        with writing_into(folder):
            raise OSError(30, "Read-only file system", str(tmp_path / where))


def test_a_file_elsewhere_is_not_taken_for_the_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), writing_into(tmp_path / "out"):
        raise FileNotFoundError(2, "No such file", str(tmp_path / "output" / "x"))
