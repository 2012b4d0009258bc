from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
from filelock import FileLock
from memobench.base.errors import MemobenchError
from memobench.base.store import Store, _machine, digest_of, locked, replacing, write_json, write_text, writing_into


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


_BUILD = """
import sys, time
from pathlib import Path
from memobench.base.store import Store

def build(folder, scratch):
    time.sleep(0.5)
    with (folder.parent / "count").open("a") as handle:
        handle.write("x")

Store(Path(sys.argv[1])).get("stage", {"a": 1}, build)
"""


def test_two_processes_build_once(tmp_path: Path) -> None:
    both = [subprocess.Popen([sys.executable, "-c", _BUILD, str(tmp_path)]) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert (tmp_path / "stage" / "count").read_text() == "x"


def _write_seven(folder: Path, scratch: Path) -> None:
    (folder / "value").write_text("7")
    (folder / "sub").mkdir()
    (folder / "sub" / "more").write_bytes(bytes(range(256)))


def _flip(file: Path, at: int) -> None:
    data = bytearray(file.read_bytes())
    data[at % len(data)] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize("kind", ["value", "sub/more", "missing", "key.json", "cut key.json", "no key.json"])
def test_a_damaged_stage_is_made_again_with_one_line(tmp_path: Path, kind: str) -> None:
    said: list[str] = []
    key = {"a": 1, "b": [0.5, "x"]}
    path, _ = Store(tmp_path, say=said.append).get("stage", key, _write_seven)
    damages: dict[str, Callable[[], object]] = {
        "missing": lambda: (path / "value").unlink(),
        "key.json": lambda: _flip(path / "key.json", (path / "key.json").read_text().index('"a": 1') + 5),
        "cut key.json": lambda: (path / "key.json").write_text("{"),
        "no key.json": lambda: (path / "key.json").unlink(),
    }
    damages.get(kind, lambda: _flip(path / kind, 100))()
    assert not Store(tmp_path).holds("stage", key)
    again, stored = Store(tmp_path, say=said.append).get("stage", key, _write_seven)
    assert (again, stored) == (path, False)
    assert (path / "value").read_text() == "7"
    assert len(said) == 1
    assert "stage stage" in said[0]
    assert "is damaged" in said[0]
    assert "made again" in said[0]
    assert Store(tmp_path, say=said.append).get("stage", key, _write_seven) == (path, True)
    assert len(said) == 1


def test_a_file_that_a_system_adds_is_no_damage(tmp_path: Path) -> None:
    path, _ = Store(tmp_path).get("stage", {}, _write_seven)
    (path / ".DS_Store").write_bytes(b"x")
    assert Store(tmp_path).get("stage", {}, _write_seven) == (path, True)


def test_a_stage_of_an_older_version_is_used_and_said_to_be_unchecked_once(tmp_path: Path) -> None:
    said: list[str] = []
    for key in ({"a": 1}, {"a": 2}):
        path, _ = Store(tmp_path).get("stage", key, _write_seven)
        write_json(path / "key.json", key)  # as older versions wrote it
    for key in ({"a": 1}, {"a": 2}):
        assert Store(tmp_path, say=said.append).get("stage", key, _write_seven)[1]
    assert len(said) == 1
    assert "unchecked" in said[0]


def test_what_interrupted_processes_left_is_removed_when_it_is_safe(tmp_path: Path) -> None:
    stage = tmp_path / "stage"
    mine, old, young, future = (
        stage / name for name in (f"{digest_of({})}.1.part", "a.1.part", "b.1.part", "c.1.part")
    )
    for folder in (mine, old, young, future):
        (folder / "sub").mkdir(parents=True)
        (folder / "sub" / "file").write_text("x")
    for path in (old, old / "sub", old / "sub" / "file"):
        os.utime(path, (0, 0))
    os.utime(future, (2e10, 2e10))  # a clock that was set back
    Store(tmp_path).get("stage", {}, _write_seven)
    assert not mine.exists()  # its lock was free
    assert not old.exists()
    assert young.exists()
    assert future.exists()


def test_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    target = tmp_path / "x.json"
    with replacing(target) as first, replacing(target) as second:
        assert first != second
        first.write_text("1")
        second.write_text("2")
    assert target.read_text() == "1"  # the last one to end
    assert list(tmp_path.iterdir()) == [target]


def test_an_interrupted_writer_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    write_text(tmp_path / "x", "before")
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "x") as partial:  # noqa: PT012
        partial.write_text("half")
        raise KeyboardInterrupt
    assert (tmp_path / "x").read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EMFILE, "Too many open files", "out/x"),
        FileNotFoundError(errno.ENOENT, "No such file", "out/x"),
        FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/gone']"),
        ConnectionResetError(errno.ECONNRESET, "Connection reset"),
        OSError("cannot identify image file"),
    ],
)
def test_only_real_write_errors_are_called_write_errors(error: OSError) -> None:
    with pytest.raises(OSError, match=re.escape(str(error))), writing_into(Path("out")):
        raise error


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), OSError("4096 requested and 0 written")])
def test_a_full_disk_is_one_without_a_file_name_too(error: OSError) -> None:
    with pytest.raises(MemobenchError, match="cannot write into out"), writing_into(Path("out")):
        raise error


def test_a_network_file_system_without_locks_gets_lock_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr("memobench.base.store.FileLock.acquire", refuse)
    with locked(tmp_path / "x.lock", "x"):
        assert (tmp_path / "x.lock").exists()
    assert not Store(tmp_path).get("stage", {}, _write_seven)[1]
    assert not list((tmp_path / "stage").glob("*.lock"))  # a process that is killed leaves nothing to wait for


@pytest.mark.parametrize("again", [False, True])
def test_two_writers_whom_no_lock_keeps_apart_leave_one_whole_stage(
    again: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memobench.base.store.locked", lambda *_, **__: nullcontext())
    other = Store(tmp_path)

    def write(into: Path, scratch: Path) -> None:
        path, stored = other.get("stage", {}, _write_seven)  # begun later, ended earlier
        assert (path / "file").is_file() or not stored
        _write_seven(into, scratch)

    path, _ = Store(tmp_path, again).get("stage", {}, write)
    assert Store(tmp_path).holds("stage", {})
    assert not list(path.parent.glob("*.part"))


def test_what_a_living_process_writes_is_left_to_it(tmp_path: Path) -> None:
    stage = tmp_path / "stage"
    name = digest_of({})
    machine = _machine()
    living, elsewhere, dead = (
        stage / f"{name}.{words}.part"
        for words in (f"{os.getpid()}-{machine}-1", f"{2**22 + 1}-other-1", f"{2**22 + 1}-{machine}-1")
    )
    for folder in (living, elsewhere, dead):
        folder.mkdir(parents=True)
    Store(tmp_path).get("stage", {}, _write_seven)
    assert living.exists()
    assert elsewhere.exists()
    assert not dead.exists()


def test_waiting_for_another_process_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memobench.base.store.PATIENCE", 0.05)
    said: list[str] = []

    def release(line: str) -> None:
        said.append(line)
        other.release()

    other = FileLock(tmp_path / "x.lock")
    other.acquire()
    with locked(tmp_path / "x.lock", "stage fit", release):
        assert "stage fit is being made by another process" in said[0]


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
