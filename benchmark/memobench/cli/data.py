"""``bench data``: images, before they are used."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from memobench.cli.options import settings_options
from memobench.settings import ExportSettings


@click.group("data")
def data_group() -> None:
    """Get image data, and look at them before they are used."""


@data_group.command("fetch")
@click.argument("name")
def data_fetch_command(name: str) -> None:
    """Download an open data set NAME of `bench list data`, after saying its size and licence.

    Example: bench data fetch chestmnist

    It goes on after a cut, is checked against the publisher's checksum, and lies in MEMOBENCH_HOME.
    """
    from memobench.base.terminal import say, track
    from memobench.data.public._fetch import fetch

    click.echo(fetch(name, say=say, track=track))


@data_group.command("split")
@click.argument("source", metavar="NAME=DIR")
@click.option("--patients", type=click.IntRange(12), default=210, show_default=True, help="So many at most.")
@click.option("--name", default="mini", show_default=True, help="What the split is called.")
@click.option("--rule", default="", help="What a reader should know of the images in that folder.")
def data_split_command(source: str, patients: int, name: str, rule: str) -> None:
    """Draw a split of a public source to be published as tasks/splits/<source>-<name>.json, and print it.

    It holds ids, or digests of ids where the source's licence does not let them be published; never an image.

    Example: bench data split ixi=/data/ixi --patients 210
    """
    from memobench.data.public._published import as_text, split_of_folder

    click.echo(as_text(split_of_folder(source, patients, name, rule)), nl=False)


@data_group.command("check")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--dim", type=click.IntRange(2, 3), help="2 or 3. [default: that of most files]")
@click.option("--patient-regex", metavar="REGEX", help="Finds the patient in a file's path, in its first group.")
@click.option("--skip-unreadable", is_flag=True, help="Exit with 0 though some files cannot be used.")
@click.option(
    "--max-image-gib",
    type=click.FloatRange(0, min_open=True),
    default=4.0,
    show_default=True,
    help="Refuse files that declare more pixels than this.",
)
def data_check_command(
    folder: Path, dim: int | None, patient_regex: str | None, skip_unreadable: bool, max_image_gib: float
) -> None:
    """Say what a FOLDER of images holds, and name every file that cannot be used, with the reason.

    Example: bench data check real/train

    PNG, JPEG, TIFF, NPY, NPZ, DICOM and NIfTI are read, whatever their names.
    """
    from memobench.base.terminal import track
    from memobench.data.files.check import check_folder

    text, usable = check_folder(
        folder,
        dim=dim,
        patient_regex=patient_regex,
        skip_unreadable=skip_unreadable,
        max_image_gib=max_image_gib,
        track=track,
    )
    click.echo(text)
    if not usable:
        sys.exit(1)


@data_group.command("export")
@settings_options(ExportSettings, argument="folder")
def data_export_command(settings: ExportSettings) -> None:
    """Write a task's images into FOLDER, with their licence: train a model of your own on FOLDER/train.

    Example: bench data export xray --task xray
    """
    from memobench.base.terminal import say, track
    from memobench.data.export import export

    say(f"Files: {settings.folder}/ ({', '.join(export(settings, track=track))})")
