"""Stage results on disk: named by what they depend on, written atomically, checked when they are read, resumable.

A stage is one folder, ``<root>/<stage>/<hash>``, whose hash is that of its key: everything that its content depends
on. The folder appears under its name only when it is complete. Its ``key.json`` holds the key and the SHA-256 of every
other file. They are checked before a stage is used; a damaged stage is made again, and that is said in one line.
Until a stage is complete, its work lies in ``<hash>.scratch``, which a later attempt finds again (checkpoints). A lock
makes a second process wait for the first instead of doing the work twice. Where a network file system has no locks, or
has them for one machine only, the work may be done twice; the first to end is the one whose stage stands.

Stages of older versions have no digests. They are taken as they are, and one line says that they cannot be checked.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout
from numpy.typing import NDArray

from memobench.base.errors import MemobenchError
from memobench.base.terminal import say as say_on_stderr

KEY = "key.json"
OLD = 86_400.0  # seconds after which an unfinished file or folder of a process that ended is removed
PATIENCE = 5.0  # seconds of waiting for another process before that is said
BLOCK = 1 << 20

# What a file system answers when it cannot be written. Any other error has another cause and keeps its own message.
_REFUSED = {
    errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG, errno.ENOTDIR, errno.EEXIST, errno.EISDIR,
    errno.ENAMETOOLONG, errno.ENOTEMPTY, errno.EIO, errno.ELOOP, errno.EINVAL,
    *(getattr(errno, name) for name in ("EDQUOT", "ESTALE") if hasattr(errno, name)),
}  # fmt: skip
_FULL = {errno.ENOSPC, errno.EROFS, errno.EFBIG, *([errno.EDQUOT] if hasattr(errno, "EDQUOT") else [])}
_SHORT = re.compile(r"^\d+ requested and \d+ written$")  # NumPy gives no number for a short write

State = Literal["intact", "damaged", "unchecked", "missing"]
_seen: dict[Path, tuple[object, ...]] = {}  # stages found intact by this process, with the state of their files
_told: set[Path] = set()  # stores of which was said that they hold stages that cannot be checked


def digest_of(key: Mapping[str, Any]) -> str:
    """The first 16 hex digits of the SHA-256 of a key's canonical JSON.

    >>> digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(_canonical(key)).hexdigest()[:16]


@dataclass(frozen=True)
class Store:
    """A folder of stage results.

    Args:
        root: Where the stages lie; made when the first one is written.
        again: Do every stage again, replacing what is stored.
        say: Is told, in one line each, that a stage is damaged, cannot be checked, or is being made by another process.
    """

    root: Path
    again: bool = False
    say: Callable[[str], None] = say_on_stderr

    def holds(self, stage: str, key: Mapping[str, Any]) -> bool:
        """Whether a stage's result is stored, is not damaged and will be taken."""
        folder = self.root / stage / digest_of(key)
        return not self.again and state_of(folder, key) in ("intact", "unchecked")

    def get(self, stage: str, key: Mapping[str, Any], build: Callable[[Path, Path], None]) -> tuple[Path, bool]:
        """The folder of a stage's result, built now unless it is stored and intact.

        Args:
            stage: The stage's name.
            key: Everything that the result depends on, as JSON values.
            build: ``build(folder, scratch)`` writes the result into ``folder``; what it keeps in ``scratch`` is found
                again after an interruption.

        Returns:
            The folder, and whether it was there already.

        Raises:
            MemobenchError: The folder cannot be written (with the reason).
        """
        final = self.root / stage / digest_of(key)
        with writing_into(self.root):
            final.parent.mkdir(parents=True, exist_ok=True)
            with locked(final.with_suffix(".lock"), f"stage {stage}", self.say, needed=False):
                if not self.again and self._usable(stage, final, key):
                    return final, True
                self._build(final, key, build)
        return final, False

    def _usable(self, stage: str, final: Path, key: Mapping[str, Any]) -> bool:
        """Whether what is stored is taken; says why where that is not as usual."""
        state = state_of(final, key)
        if state == "damaged":
            self.say(f"stage {stage} in {final} is damaged (a file was changed or is missing); it is made again")
        elif state == "unchecked" and self.root not in _told:
            _told.add(self.root)
            self.say(
                f"{self.root} holds stages of an older version, without digests; they are used unchecked "
                "(--fresh makes them again)"
            )
        return state in ("intact", "unchecked")

    def _build(self, final: Path, key: Mapping[str, Any], build: Callable[[Path, Path], None]) -> None:
        """Make a stage under its lock."""
        remove_old_parts(final.parent)
        for left in final.parent.glob(f"{final.name}.*.part"):
            if not _alive(left):
                shutil.rmtree(left, ignore_errors=True)
        scratch = final.with_suffix(".scratch")
        if self.again and scratch.exists():
            shutil.rmtree(scratch)
        scratch.mkdir(exist_ok=True)
        partial = _unique(final.parent, final.name)
        partial.mkdir()
        try:
            build(partial, scratch)
            _write_new(partial / KEY, {"key": dict(key), "files": digests(partial)})
            self._put(partial, final, key)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        _seen[final] = _stamp(final)
        shutil.rmtree(scratch, ignore_errors=True)

    def _put(self, partial: Path, final: Path, key: Mapping[str, Any]) -> None:
        """Give a complete stage its name, unless another process that no lock held off was faster."""
        if final.exists() and (self.again or state_of(final, key) != "intact"):
            shutil.rmtree(final)
        try:
            partial.replace(final)
        except OSError:
            if state_of(final, key) != "intact":
                raise


def state_of(folder: Path, key: Mapping[str, Any]) -> State:
    """What a stored stage is worth: its files are compared with the digests that were stored with them.

    Args:
        folder: Of the stage.
        key: What it depends on.

    Returns:
        "intact"; "damaged" (a file was changed, is missing or cannot be read); "unchecked" (stored by an
        older version, without digests); or "missing".
    """
    if not folder.is_dir():
        return "missing"
    try:
        stamp = _stamp(folder)
        if _seen.get(folder) == stamp:  # read once by this process, and nothing has been written since
            return "intact"
        stored = json.loads((folder / KEY).read_bytes())
        wanted = json.loads(_canonical(key))
        if stored == wanted:
            return "unchecked"
        if stored["key"] != wanted or any(file_digest(folder / name) != sha for name, sha in stored["files"].items()):
            return "damaged"
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):  # of whatever stands there
        return "damaged"
    _seen[folder] = stamp
    return "intact"


def digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file under a folder, but for its ``key.json``; by path, with "/" on every system."""
    return {name: file_digest(folder / name) for name in _names(folder) if name != KEY}


def file_digest(file: Path) -> str:
    """The SHA-256 of a file in hex digits, read in blocks."""
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically; NaN and infinity are refused."""
    write_text(path, _json(value))


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file atomically: a file of that name is replaced, or stays as it was."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically; each writer has a temporary file of its own."""
    with replacing(path) as partial:
        partial.write_bytes(data)


def copy_file(source: Path, into: Path) -> None:
    """Copy a file into a folder, atomically: a file of that name is replaced, or stays as it was."""
    with replacing(into / source.name) as partial:
        shutil.copyfile(source, partial)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside a file, its own for each writer; what was written there takes the file's place at the end."""
    remove_old_parts(path.parent, f".{path.name}.*.part")
    partial = _unique(path.parent, f".{path.name}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def remove_old_parts(folder: Path, pattern: str = "*.part") -> None:
    """Remove what interrupted processes left behind: ``*.part`` files and folders not written to for a day."""
    for left in folder.glob(pattern):
        with suppress(OSError):  # another process removes it too
            if time.time() - _newest(left) < OLD:  # a clock that was set back makes files younger, never older
                continue
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink()


@contextmanager
def writing_into(folder: Path, instead: str = "choose another --out") -> Iterator[None]:
    """Turn a full or read-only disk into one line that names the folder, the reason and the fix.

    Errors that have another cause pass: a file elsewhere, a file that is not there, too many open files.

    Args:
        folder: What is written into.
        instead: How another folder is chosen.
    """
    try:
        yield
    except OSError as error:
        if not _is_write_error(error, folder):
            raise
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise MemobenchError(
            f"cannot write into {folder}: {reason}; free space there or {instead}. What was finished is kept"
        ) from error


@contextmanager
def locked(path: Path, what: str, say: Callable[[str], None] = say_on_stderr, *, needed: bool = True) -> Iterator[None]:
    """Hold a lock that one process has at a time; it is released when the process ends, however it ends.

    Args:
        path: Of the lock file. Its folder exists.
        what: Is locked, for the line that says that another process has it.
        say: Is told that line.
        needed: Whether a file takes the lock's place on a network file system without locks. It stays, and keeps all
            others waiting, where its process is killed.
    """
    lock: BaseFileLock = FileLock(path)
    try:
        lock.acquire(timeout=PATIENCE)
    except Timeout:
        say(f"{what} is being made by another process; waiting for it ({path})")
        lock.acquire()
    except NotImplementedError:  # a network file system without locks
        lock = SoftFileLock(path)
        if needed:
            lock.acquire()
    try:
        yield
    finally:
        lock.release()  # nothing, where it was not acquired


def save_arrays(file: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays as safetensors."""
    from safetensors.numpy import save

    # save_file would report a full disk as an error of its own kind
    file.write_bytes(save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))


def load_arrays(file: Path) -> dict[str, NDArray[Any]]:
    """Read what :func:`save_arrays` wrote."""
    from safetensors.numpy import load_file

    arrays: dict[str, NDArray[Any]] = load_file(file)
    return arrays


def _is_write_error(error: OSError, folder: Path) -> bool:
    if error.filename is None:
        return error.errno in _FULL or bool(_SHORT.match(str(error)))
    where = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else folder
    return error.errno in _REFUSED and (where.is_relative_to(folder) or folder.is_relative_to(where))


def _canonical(key: Mapping[str, Any]) -> bytes:
    return json.dumps(key, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n"


def _write_new(path: Path, value: Any) -> None:
    """Write a JSON file in a folder that no other process sees."""
    path.write_text(_json(value), encoding="utf-8", newline="\n")


def _unique(folder: Path, name: str) -> Path:
    """A path that no other writer has, on any machine."""
    return folder / f"{name}.{os.getpid()}-{_machine()}-{secrets.token_hex(4)}.part"


def _machine() -> str:
    """This machine in a few letters."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _alive(part: Path) -> bool:
    """Whether the writer of a path from :func:`_unique` may still be at work.

    On another machine that cannot be known; what it left is removed when it is old.
    """
    words = part.name.split(".")[-2].split("-")
    if len(words) != 3 or not words[0].isdigit():
        return False
    if words[1] != _machine():
        return True
    import psutil  # not at the start: it needs modules that not every Python has

    return bool(psutil.pid_exists(int(words[0])))


def _names(folder: Path) -> list[str]:
    """The files under a folder, by path."""
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if not file.is_dir())


def _stamp(folder: Path) -> tuple[object, ...]:
    """What changes when a file is written: names, sizes, times."""
    stats = [(name, (folder / name).stat()) for name in _names(folder)]
    return tuple((name, one.st_size, one.st_mtime_ns, one.st_ino) for name, one in stats)


def _newest(left: Path) -> float:
    """When something was last written at or under a path."""
    times = [left.lstat().st_mtime]
    if left.is_dir():
        times += [one.lstat().st_mtime for one in left.rglob("*")]
    return max(times)
