from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from memobench.audit.settings import AuditSettings
from memobench.base.words import command_words, flag_of, helps_of
from memobench.calibration.settings import CalibrationSettings
from memobench.challenge.settings import ChallengeSettings
from memobench.cli.options import settings_options
from memobench.settings import RunSettings
from memobench.study.settings import StudySettings
from memobench.submissions.settings import VerifySettings

RUN = RunSettings("ldm", "xray")
CHANGED = [
    RUN,
    replace(RUN, data="DIR", size=96, settings={"steps": "5", "width": "a=b"}, samples=3, train_patients=9, seed=4),
    replace(RUN, features=("inception", "other"), out=Path("a b"), again=True, precision="bfloat16", compiled=True),
    StudySettings("ct", against=("vae",), only=("width", "length"), brief=True, seeds=(3,), plugins=(Path("p.py"),)),
    StudySettings("ct", seeds=(2, 3, 4, 5), kept=Path("kept")),
    replace(RUN, size=(48, 32)),
    StudySettings("mr", size=(32, 256, 256)),
    ChallengeSettings("mr", detectors=("l2", "ssim"), count=4, again=True),
    CalibrationSettings(draws=7, strength="strong"),
    AuditSettings(Path("a"), Path("b"), Path("c"), dim=3, strata=("site", "view"), store=False, max_image_gib=0.5),
    VerifySettings("rescored", samples=Path("samples.npz"), run_their_code=True),
]


def parse(kind: type, words: list[str]) -> Any:
    """What a command with the options of a dataclass is called with."""
    seen: list[Any] = []

    @click.command()
    @settings_options(kind)
    def command(settings: Any) -> None:
        seen.append(settings)

    ended = CliRunner().invoke(command, words, catch_exceptions=False)
    assert ended.exit_code == 0, ended.output
    return seen[0]


@pytest.mark.parametrize("settings", CHANGED, ids=str)
def test_the_words_of_settings_ask_for_these_settings(settings: Any) -> None:
    assert parse(type(settings), command_words(settings)) == settings


@pytest.mark.parametrize("kind", [RunSettings, StudySettings, ChallengeSettings, CalibrationSettings, AuditSettings])
def test_every_field_has_an_option_with_a_help_text_of_its_own(kind: type) -> None:
    helps = helps_of(kind)
    assert set(helps) == {field.name for field in fields(kind)}
    command = click.command()(settings_options(kind)(lambda settings: None))
    with click.Context(command) as context:
        shown = " ".join(command.get_help(context).split())
    for field in fields(kind):
        assert flag_of(field) in shown
        assert helps[field.name] in shown


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--task", "xray"], "Missing option '--model'"),
        (["--model", "a", "--task", "b", "--samples", "0"], "0 is not in the range x>=1"),
        (["--model", "a", "--task", "b", "--precision", "int8"], "'int8' is not one of"),
    ],
)
def test_wrong_words_are_refused(words: list[str], reason: str) -> None:
    command = click.command()(settings_options(RunSettings)(lambda settings: None))
    ended = CliRunner().invoke(command, words)
    assert ended.exit_code == 2
    assert reason in ended.output
