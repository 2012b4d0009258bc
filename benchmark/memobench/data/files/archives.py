"""Archives (zip, tar, tar.gz) and single files in the place of a folder: unpacked once, safely, for this process only.

No member leaves the folder, links and devices are passed over, and what unpacks to far more than an archive of its size
can hold is refused while it is unpacked. The folder is private to the user and goes when the process ends.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from memobench.base.errors import DataError
from memobench.data.files.kinds import kind_of
from memobench.data.files.limits import DEFLATE, MAX_IMAGE_GIB, gib, size
from memobench.data.files.picture import Unreadable
from memobench.data.files.walk import shown

MOST_MEMBERS = 1_000_000
_FREE = 2**28  # bytes that an archive may always unpack to
_ROOM = 2**28  # bytes that are left on the disk
_BLOCK = 2**20
_FILES, _OTHERS = (
    (0, 8),
    (1, 2, 4, 6, 10, 12),
)  # of a ZIP member's mode: nothing said or a file; pipe, device, link, ...
_unpacked: dict[tuple[str, int, int], Path] = {}

Member = tuple[str, IO[bytes]]


def folder_of(path: Path, max_image_gib: float = MAX_IMAGE_GIB) -> Path:
    """The folder itself; or, of an archive or a single file, a temporary folder that holds what is in it.

    An archive whose members all lie in one folder gives that folder.

    Args:
        path: A folder, an archive or an image file.
        max_image_gib: A member that is larger is refused.

    Raises:
        DataError: The archive is damaged, encrypted or a trap, a member would leave the folder, there is no room for
            it, or the file is neither an archive nor an image.
    """
    path = Path(path)
    if not path.is_file():
        return path
    status = path.stat()
    key = (str(path.resolve()), status.st_mtime_ns, status.st_size)
    if key not in _unpacked:
        scratch = Path(tempfile.mkdtemp(prefix="memobench-"))
        atexit.register(shutil.rmtree, scratch, ignore_errors=True)
        target = scratch / path.name
        target.mkdir()
        _fill(path, target, gib(max_image_gib))
        _unpacked[key] = _only_folder(target)
    return _unpacked[key]


def _fill(path: Path, target: Path, limit: int) -> None:
    name = shown(str(path))
    try:
        if path.suffix.lower() != ".npz" and zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                _write(path, target, _zip_members(archive), limit)
        elif path.suffix.lower() != ".npz" and _begins(path, b"PK\3\4"):
            raise zipfile.BadZipFile("its list of members is missing")
        elif tarfile.is_tarfile(path):
            with tarfile.open(path) as archive_of_tar:
                _write(path, target, _tar_members(archive_of_tar), limit)
        else:
            kind_of(path)
            shutil.copy2(path, target / path.name)
    except Unreadable as error:
        raise DataError(f"{name} {error}; give a folder, an archive (zip, tar, tar.gz) or an image file") from error
    except RuntimeError as error:  # of zipfile: a password is asked for, or the compression is not known
        raise DataError(f"{name} cannot be unpacked ({' '.join(str(error).split())}); unpack it yourself") from error
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{name} is damaged or cut short ({reason[:150]}); get it again") from error


def _zip_members(archive: zipfile.ZipFile) -> Iterator[Member]:
    """The files; folders are passed over, and so are links and devices, as Unix writes them.

    Raises:
        zipfile.BadZipFile: The list of members is damaged.
    """
    for member in archive.infolist():
        form = member.external_attr >> 28
        if not member.filename or form not in (*_FILES, *_OTHERS):
            raise zipfile.BadZipFile("its list of members is damaged")
        if member.is_dir():
            continue
        with archive.open(member) as opened:  # which compares the list with what stands before the member
            if form in _FILES:
                yield member.filename, opened


def _tar_members(archive: tarfile.TarFile) -> Iterator[Member]:
    for member in archive:
        if member.isfile() and (opened := archive.extractfile(member)) is not None:
            yield member.name, opened
    _check_end(archive)
    came = 0
    while archive.fileobj is not None and (block := archive.fileobj.read(_BLOCK)):  # at the end stands the checksum
        came += len(block)
        if came > _FREE or block.strip(tarfile.NUL):
            raise tarfile.ReadError("there is more behind what seems to be its last member")


def _check_end(archive: tarfile.TarFile) -> None:
    """Refuse an archive that stops behind a member without the block of zeros by which it should end.

    Raises:
        tarfile.ReadError: It does.
    """
    if archive.fileobj is not None:
        archive.fileobj.seek(archive.offset)
        if archive.fileobj.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
            raise tarfile.ReadError("its end is missing")


def _begins(path: Path, start: bytes) -> bool:
    with path.open("rb") as handle:
        return handle.read(len(start)) == start


def _write(path: Path, target: Path, members: Iterator[Member], limit: int) -> None:
    """Write members, counting what really comes out of them."""
    name, total, status = shown(str(path)), 0, path.stat()
    most = max(_FREE, status.st_size * DEFLATE)
    for count, (member, opened) in enumerate(members):
        if count == MOST_MEMBERS:
            raise DataError(f"{name} holds more than {MOST_MEMBERS} files; unpack it yourself")
        file = target / _inside(name, member)
        file.parent.mkdir(parents=True, exist_ok=True)
        came = 0
        try:
            handle = file.open("xb")
        except FileExistsError as error:
            raise DataError(f"{name} holds {shown(member)} twice; unpack it yourself") from error
        with handle:
            while block := opened.read(_BLOCK):
                came += len(block)
                total += len(block)
                if came > limit:
                    raise DataError(
                        f"{name}: {shown(member)} unpacks to more than {size(limit)}; raise --max-image-gib if it is "
                        "trusted"
                    )
                if total > most:
                    raise DataError(f"{name} unpacks to far more than images do ({size(total)} and more); it is a trap")
                handle.write(block)
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))  # so that what was prepared is known again
        if shutil.disk_usage(target).free < _ROOM:
            raise DataError(f"{name} does not fit into {target.parent}; set TMPDIR to a folder with more room")


def _inside(name: str, member: str) -> PurePosixPath:
    """A member's path within the folder.

    Raises:
        DataError: It leaves the folder.
    """
    inside = PurePosixPath(member.replace("\\", "/"))
    if inside.is_absolute() or ".." in inside.parts or not inside.parts or ":" in inside.parts[0]:
        raise DataError(f"{name}: {shown(member)} would leave its folder; do not trust this archive")
    return inside


def _only_folder(folder: Path) -> Path:
    """The innermost folder that holds everything."""
    while True:
        entries = [one for one in folder.iterdir() if not one.name.startswith(".") and one.name != "__MACOSX"]
        if len(entries) != 1 or not entries[0].is_dir():
            return folder
        folder = entries[0]
