"""What a file is, by its first bytes and not by its name."""

from __future__ import annotations

from pathlib import Path

from memobench.data.files.picture import Unreadable

KNOWN = "PNG, JPEG, TIFF, NPY, NPZ, DICOM and NIfTI are read"
RASTER = ("PNG", "JPEG", "TIFF")
_IMAGES = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"\x93NUMPY": "NPY",
}
_PROGRAMS = {
    b"MZ": "a program for Windows",
    b"\x7fELF": "a program for Linux",
    b"\xcf\xfa\xed\xfe": "a program for macOS",
    b"\xca\xfe\xba\xbe": "a program",
    b"#!": "a script",
}
_OTHERS = {
    b"%PDF": "a PDF document",
    b"GIF8": "a GIF image",
    b"BM": "a BMP image",
    b"RIFF": "a RIFF file (WebP or video)",
    b"\0\0\0\x0cjP  ": "a JPEG 2000 image",
    b"\x89HDF": "an HDF5 file",
    b"7z\xbc\xaf": "a 7z archive",
    b"NRRD": "an NRRD volume",
    b"ObjectType": "a MetaImage volume (.mha, .mhd)",
    b"\xff\x4f\xff\x51": "a JPEG 2000 image",
    b"\xff\x0a": "a JPEG XL image",
    b"\0\0\0\x0cJXL ": "a JPEG XL image",
    b"v/1\x01": "an OpenEXR image",
    b"MATLAB 5": "a MATLAB file",
    b"PAR1": "a Parquet table",
    b"SIMPLE  =": "a FITS image",
    b"\xd0\xcf\x11\xe0": "an Office document",
    b"BZh": "compressed (bzip2)",
    b"\xfd7zXZ\0": "compressed (xz)",
    b"\x28\xb5\x2f\xfd": "compressed (zstandard)",
    b"Rar!": "a RAR archive",
    b"P5\n": "a PGM image",
    b"P6\n": "a PPM image",
    b"\x80": "a pickle, which is never loaded",
}
_POINTERS = {
    b"version https://git-lfs": "a pointer of Git LFS in the place of the file; get the file with git lfs pull",
    b"/annex/objects": "a pointer of git-annex in the place of the file; get the file with git annex get",
}
_UNFINISHED = (".part", ".partial", ".crdownload", ".download", ".aria2", ".filepart", ".!ut", ".tmp")
_PICKLED = (".pt", ".pth", ".ckpt", ".bin")
_APPLE = b"\0\x05\x16\x07"
_PLAIN_DICOM = (b"\x08\0", b"\x02\0", b"\0\x08")  # group 0008 or 0002 without a preamble, both byte orders


def kind_of(file: Path, start: bytes | None = None) -> str:  # noqa: C901  one rule after the other, in the order in which they must be tried
    """PNG, JPEG, TIFF, NPY, NPZ, DICOM or NIfTI.

    Args:
        file: Any file.
        start: Its first 352 bytes, where they have been read.

    Raises:
        Unreadable: It is none of these; the reason says what it is.
        OSError: It cannot be opened.
    """
    if file.name.lower().endswith(_UNFINISHED):
        raise Unreadable("is an unfinished download; fetch it again")
    if start is None:
        with file.open("rb") as handle:
            start = handle.read(352)
    if not start:
        raise Unreadable("is empty (0 bytes)")
    program = _named(start, _PROGRAMS)
    if start[128:132] == b"DICM":
        if program:
            raise Unreadable(f"is DICOM behind the beginning of {program}, which no scanner writes")
        return "DICOM"
    image = _named(start, _IMAGES)
    if image:
        return image
    if start[344:348] == b"ni1\0" or start[4:8] == b"ni2\0":
        raise Unreadable("is the header of a pair of .hdr and .img; save each volume as one .nii file")
    if start[344:348] == b"n+1\0" or start[4:8] == b"n+2\0":
        return _nifti(file)
    if start[:2] == b"\x1f\x8b":
        return _nifti(file)
    if start[:4] == b"PK\x03\x04":
        if file.suffix.lower() == ".npz":
            return "NPZ"
        if b"data.pkl" in start or file.suffix.lower() in _PICKLED:
            raise Unreadable("is a PyTorch file, a pickle, which is never loaded; save the images as .npz or .npy")
        raise Unreadable(f"is a ZIP archive; unpack it ({KNOWN})")
    if program:
        raise Unreadable(f"is {program}, not an image")
    if start.startswith(_APPLE):
        raise Unreadable("is what a Mac keeps beside a file (AppleDouble), not an image; delete it")
    if pointer := _named(start, _POINTERS):
        raise Unreadable(f"is {pointer}")
    if not start.strip(b"\0"):
        raise Unreadable("begins with zeros only, as an unfinished download or a damaged disk leaves it")
    if start[:2] in _PLAIN_DICOM or file.suffix.lower() in (".dcm", ".dicom", ".ima"):
        return "DICOM"
    other = _named(start, _OTHERS) or _film(start)
    if start[8:10] == b'{"' and not any(start[4:8]):
        other = "a safetensors file"
    if other:
        raise Unreadable(f"is {other}; {KNOWN}")
    if file.suffix.lower() == ".hdr" or (file.suffix.lower() == ".img" and _beside(file, ".hdr")):
        raise Unreadable("is one of a pair of .hdr and .img (Analyze, NIfTI); save each volume as one .nii file")
    if start.lstrip()[:1] == b"<":
        raise Unreadable(f"is a text with markup (HTML, XML), not an image; {KNOWN}")
    raise Unreadable(f"is no image of a known kind; {KNOWN}")


def _named(start: bytes, names: dict[bytes, str]) -> str | None:
    return next((name for mark, name in names.items() if start.startswith(mark)), None)


def _film(start: bytes) -> str | None:
    """A film or photograph in the container of ISO, by its brand."""
    if start[4:8] != b"ftyp":
        return None
    brand = start[8:12]
    if brand[:3] in (b"hei", b"hev", b"mif", b"msf"):
        return "a HEIC image"
    return "an AVIF image" if brand[:3] == b"avi" else "a film (MP4, QuickTime)"


def _beside(file: Path, suffix: str) -> bool:
    return any(file.with_suffix(form).is_file() for form in (suffix, suffix.upper()))


def _nifti(file: Path) -> str:
    name = file.name.lower()
    if name.endswith((".nii", ".nii.gz")):
        return "NIfTI"
    if name.endswith((".mgz", ".mgh")):
        raise Unreadable("is a FreeSurfer volume; convert it to .nii.gz (mri_convert)")
    if name.endswith((".img.gz", ".hdr.gz")):
        raise Unreadable("is one of a pair of .hdr and .img; save each volume as one .nii.gz file")
    if name.endswith(".gz"):
        raise Unreadable("is compressed; unpack it (gunzip); compressed, only .nii.gz is read")
    raise Unreadable("is compressed, or NIfTI under another name; NIfTI is read as .nii or .nii.gz")
