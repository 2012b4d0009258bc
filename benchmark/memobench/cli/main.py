"""The ``bench`` command: words in, calls out, no logic.

Data go to stdout, everything else to stderr. Exit status: 0 done, 1 a run or a check failed or was interrupted,
2 wrong usage. Nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

import errno
import io
import json
import os
import sys
from typing import Any

import click

from memobench.base.errors import MemobenchError
from memobench.base.version import VERSION
from memobench.cli.audits import audit_command
from memobench.cli.boards import leaderboard_command
from memobench.cli.data import data_group
from memobench.cli.detectors import calibrate_command, challenge_command
from memobench.cli.generators import check_command, measure_command, run_command, study_command
from memobench.cli.submissions import attack_command, export_command, submit_command, verify_command

# What commands are for, with one line each; a test holds that every command stands here once.
PURPOSES = {
    "You have synthetic images": {
        "audit": "Say whether a data set is safe to share, and what to hold back.",
        "data": "Get image data, and look at them before they are used.",
    },
    "You have a model, a checkpoint or samples": {
        "run": "Train a model on a task, sample it, and measure its images.",
        "measure": "Measure images that you drew from a model of your own.",
        "study": "Vary each factor of training alone, over several seeds.",
        "export": "Write results for a model repository, a paper or a table.",
        "list": "List models, tasks, data sources, detectors and features.",
    },
    "Leaderboard": {
        "submit": "Make a submission of a finished run.",
        "verify": "Verify a submission: its numbers, samples and training.",
        "attack": "Look for copies in listed samples that the board missed.",
        "leaderboard": "Rank the submissions by image quality and copying.",
    },
    "Develop": {
        "check": "Check that a model keeps the contract of generators.",
        "challenge": "Score copy detectors on planted copies and non-copies.",
        "calibrate": "Show how often the measure is right where the truth is known.",
    },
}
KINDS = ("models", "tasks", "data", "detectors", "features")


class GroupedCommands(click.Group):
    """A group whose help shows its commands by what they are for, each with a line that fits 80 columns."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands below the headings of :data:`PURPOSES`."""
        for heading, names in PURPOSES.items():
            rows = [(name, about) for name, about in names.items() if name in self.commands]
            with formatter.section(heading):
                formatter.write_dl(rows, col_max=12)


@click.group(
    cls=GroupedCommands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="`bench COMMAND --help` shows the options of a command, and an example.",
)
@click.version_option(VERSION)
def bench() -> None:
    """Measure how good a generative model's medical images are, and how many of them are copies of patients."""


@bench.command("list")
@click.argument("kind", type=click.Choice(KINDS), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_command(kind: str | None, as_json: bool) -> None:
    """List models, tasks, data sources, detectors and features.

    Example: bench list models
    """
    from memobench.cli.listing import listing, listing_text

    entries = listing([kind] if kind else list(KINDS))
    click.echo(json.dumps(entries, indent=1) if as_json else listing_text(entries))


for command in (
    run_command,
    measure_command,
    check_command,
    study_command,
    challenge_command,
    calibrate_command,
    audit_command,
    data_group,
    submit_command,
    export_command,
    attack_command,
    verify_command,
    leaderboard_command,
):
    bench.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and end the process with its exit status; every expected error is one line."""
    _escape_what_cannot_be_printed()
    try:
        status: Any = bench.main(arguments, prog_name="bench", standalone_mode=False)
    except click.exceptions.Abort:
        _fail("interrupted; the same command goes on where it stopped", 1)
    except click.ClickException as error:
        _fail(error.format_message(), 2)
    except MemobenchError as error:
        _fail(str(error), error.exit_code)
    except BrokenPipeError:  # the reader of stdout, for example "head", has seen enough
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115  # until the process ends
        sys.exit(1)
    except OSError as error:
        if (line := system_reason(error)) is None:
            raise
        _fail(line, 1)
    except MemoryError:
        _fail("there is not enough memory; give a smaller --size, fewer images, or use a larger machine", 1)
    except KeyboardInterrupt:
        _fail("interrupted; the same command goes on where it stopped", 1)
    sys.exit(status if isinstance(status, int) else 0)


_OF_THE_MACHINE = (errno.ENOSPC, errno.EROFS, errno.EIO, errno.EACCES, errno.ENOENT, getattr(errno, "ESTALE", -1))


def system_reason(error: OSError) -> str | None:
    """An error of the machine in one line, with what helps; None where it may be a fault of the program."""
    named = "" if error.filename is None else f" ({error.filename})"
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"too many files are open{named}; allow more with: ulimit -n 4096"
    if error.errno == errno.ENOMEM:
        return "there is not enough memory; give a smaller --size, fewer images, or use a larger machine"
    if "No usable temporary directory" in str(error):
        return "there is no folder for temporary files; set TMPDIR to one that can be written"
    if error.errno is not None and error.errno in _OF_THE_MACHINE:
        return f"{os.strerror(error.errno)}{named}; correct that and give the same command again"
    return None


def _escape_what_cannot_be_printed() -> None:
    """Where a terminal knows ASCII alone (LANG=C, old Windows), names of files are escaped instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.encoding.lower().replace("-", "") != "utf8":
            stream.reconfigure(errors="backslashreplace")


def _fail(message: str, status: int) -> None:
    click.echo(f"bench: {message}", err=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
