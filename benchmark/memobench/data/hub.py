"""The Hugging Face Hub, reached only where a name begins with ``hub:``: weights as safetensors, images, never code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from memobench.base.errors import MemobenchError, UsageError

PREFIX = "hub:"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w./-]+)?")
_WANTED = {
    "model": ["*.json", "*.yaml", "*.safetensors", "*.txt"],
    "dataset": ["*.png", "*.jpg", "*.jpeg", "*.tif", "*.tiff", "*.npz", "*.npy", "*.nii", "*.nii.gz", "*.dcm", "*.zip"],
}


def from_hub(word: str, kind: Literal["model", "dataset"]) -> Path:
    """The folder of ``hub:OWNER/NAME`` or ``hub:OWNER/NAME@REVISION``, fetched now unless it was before.

    Raises:
        UsageError: It is no such name, or huggingface_hub is not installed.
        MemobenchError: The Hub cannot be reached, or holds no such repository; the message says how to fetch it.
    """
    name = word.removeprefix(PREFIX)
    if not _NAME.fullmatch(name):
        raise UsageError(f'"{word}" is no name on the Hub; give hub:OWNER/NAME, or hub:OWNER/NAME@REVISION')
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise UsageError("huggingface_hub is not installed; pip install huggingface_hub") from error
    repository, _, revision = name.partition("@")
    try:
        found = snapshot_download(repository, repo_type=kind, revision=revision or None, allow_patterns=_WANTED[kind])
    except Exception as error:  # of whatever lies between here and there
        reason = (" ".join(str(error).split()) or type(error).__name__)[:160]
        flag = " --repo-type dataset" if kind == "dataset" else ""
        raise MemobenchError(
            f"{word} cannot be fetched ({reason}); where there is a network: hf download {repository}{flag} "
            "--local-dir DIR, then give DIR"
        ) from error
    return Path(found)
