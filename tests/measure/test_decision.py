"""The decision table: every row, its words, and that more evidence never makes a word milder."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memobench.measure.decision import KINDS, TABLE, Findings, Word, decide_set, files_words, not_checked
from memobench.measure.region_words import UNSEEN, RegionFindings, groups_words, parts_words

CLEAN = Findings(
    images=300,
    where="audit.csv",
    groups=0,
    expected=0.3,
    held_out_groups=0,
    held_out_expected=0.3,
    p_permuted=0.6,
    rate=(0.0, -0.01, 0.012),
    share=0.5,
    p_share=0.5,
    train_patients=100,
    holdout_patients=100,
    sensitivity=0.94,
    weakest=(("crop", 0.71), ("noise", 0.85), ("blur", 1.0)),
)
ORDER: dict[Word, int] = {"no copies found": 0, "review": 1, "do not release": 2}
STOP, LOOK = "do not release", "review"
# one line per row of the table: what makes it hold alone, the word, and words of the reason
CASES = [
    ("exact copy", {"exact": 1}, STOP, "1 of the 300 images is pixel for pixel a training image"),
    (
        "certain copy",
        {"certain": 3, "certain_patients": 2, "p_single": 1e-9, "names": ("7.png",)},
        STOP,
        "3 of the 300 images are certain copies of 2 training patients: chance would give so strong a match in fewer "
        "than 1 of 1,000,000 such sets",
    ),
    (
        "held-out patients seen",
        {"held_out_called": 30, "held_out_groups": 30, "p_held_out": 1e-20},
        STOP,
        "The generator has seen the held-out patients: 30 of the 300 images match one of them as a copy does; chance "
        "alone gives about 0.3.",
    ),
    (
        "more copies than chance",
        {"called": 5, "groups": 4, "p_count": 0.0004},
        STOP,
        "5 of the 300 images match training patients as copies do (4 with near-identical images counted once)",
    ),
    (
        "certain copy of a region",
        {"regions": RegionFindings(300, certain=2, certain_patients=2, p_single=1e-4), "names": ("7.png",)},
        STOP,
        "2 of the 300 images repeat a region of a training patient's image with certainty: chance would give so strong "
        "a match in about 1 of 10,000 such sets.",
    ),
    (
        "regions of held-out patients seen",
        {"regions": RegionFindings(300, held_out_called=9, p_held_out=1e-9, held_out_expected=0.3)},
        STOP,
        "9 of the 300 images repeat a region of a held-out patient's image as a copy does; chance alone gives",
    ),
    (
        "more copied regions than chance",
        {"regions": RegionFindings(300, called=9, p_count=1e-9, expected=0.3)},
        STOP,
        "9 of the 300 images repeat a region of a training patient's image as closely as a copy; chance alone gives",
    ),
    (
        "training patients lead",
        {"p_permuted": 0.001, "rate": (0.05, 0.02, 0.08), "patients": 12.0},
        STOP,
        "About 5% of the 300 images are copies of about 12 training patients (95% interval 2% to 8%)",
    ),
    ("preset smoke", {"preset": "smoke"}, LOOK, "only tested the path"),
    (
        "trained elsewhere",
        {"elsewhere": "others"},
        LOOK,
        'trained on "others", and copies of those images cannot be seen',
    ),
    ("called", {"called": 1, "groups": 1}, LOOK, "1 of the 300 images matches a training patient as closely as a copy"),
    ("called of held-out patients", {"held_out_called": 2, "held_out_groups": 2}, LOOK, "match a held-out patient"),
    ("region called", {"regions": RegionFindings(300, called=1)}, LOOK, "1 of the 300 images repeats a region"),
    (
        "region called of held-out patients",
        {"regions": RegionFindings(300, held_out_called=1)},
        LOOK,
        "repeats a region of a held-out patient's image",
    ),
    ("regions not searched", {"regions": RegionFindings(0)}, LOOK, "copied regions would stay unseen"),
    ("shifted holdout", {"shifted": 0.9}, LOOK, "--strata site,view"),
    ("other pose", {"pose": "the synthetic images are turned by 90 degrees"}, LOOK, "The synthetic images are turned"),
    ("nothing to compare", {"empty": 4}, LOOK, "4 images have nothing to compare"),
    ("sheets of images", {"sheets": 1}, LOOK, "1 image seems to be a sheet of several images, whose parts were not"),
    ("no held-out patients", {"holdout_patients": 0}, LOOK, "no held-out patients"),
    ("too little to tell", {"rate": (0.0, 0.0, 0.4)}, LOOK, "even 40% of the 300 images could be copies"),
    ("few patients", {"train_patients": 12}, LOOK, "only 12 patients"),
    ("training patients lead somewhat", {"p_permuted": 0.04}, LOOK, "in about 1 of 25 such sets"),
    ("leans towards the training patients", {"share": 0.7, "p_share": 0.001}, LOOK, "lean towards the training"),
    ("blind detector", {"sensitivity": 0.4}, LOOK, "finds only 40% of planted copies"),
    ("unread files", {"unread": 1}, LOOK, "1 synthetic file could not be read and was not checked"),
    ("real names", {"carriers": 2}, LOOK, "2 synthetic files carry the id of a real patient"),
    ("policy", {"unmet": ("5 patients are copied, at most 0 are allowed",)}, LOOK, "5 patients are copied"),
]


@pytest.mark.parametrize(("row", "change", "word", "words"), CASES, ids=[case[0] for case in CASES])
def test_each_row_decides_alone(row: str, change: dict[str, object], word: Word, words: str) -> None:
    decision = decide_set(replace(CLEAN, **change))  # type: ignore[arg-type]
    assert decision.word == word
    assert decision.rows[0] == row
    assert words in decision.reasons[0]
    assert decision.reasons[0] in decision.sentence


@pytest.mark.parametrize(("row", "change"), [case[:2] for case in CASES], ids=[case[0] for case in CASES])
@pytest.mark.parametrize("alone", [False, True], ids=["many", "one"])
def test_sentences_are_short_and_agree_with_their_count(row: str, change: dict[str, object], alone: bool) -> None:
    ones = {name: 1 for name, value in change.items() if type(value) is int and value > 1} if alone else {}
    decision = decide_set(replace(CLEAN, **(change | ones)))  # type: ignore[arg-type]
    said = " ".join([decision.sentence, *decision.reasons])
    assert not [words for words in re.split(r"(?<=[.?]) (?=[A-Z0-9])", said) if len(words.split()) > 30], row
    assert not re.search(
        r"\b1 (?:more )?(?:image|sample|patient|file)s?\b (?:are|have|were|match|lead|seem|carry)\b", said
    )
    assert not re.search(r"(?<!up to )\b1 of the \d+ images (?:are|have|were|match|repeat)\b", said)


def test_what_is_not_covered_is_said_in_short_sentences() -> None:
    kinds = [
        ("128 principal components", 0.0), ("64 principal components", 0.0), ("checkerboard with a stranger", 0.0),
        ("low frequencies under a stranger's detail", 0.0), ("tenth", 0.1), ("one lung", 0.4), ("half", 1.0),
    ]  # fmt: skip
    said = " ".join([parts_words([(0.5, 1.0), (0.25, 0.95), (0.125, 0.5)]), UNSEEN, groups_words(kinds, most=KINDS)])
    assert max(len(words.split()) for words in re.split(r"(?<=[.?]) (?=[A-Z0-9])", said)) <= 30


def test_every_row_of_the_table_is_tested_and_stop_rows_come_first() -> None:
    assert [row.name for row in TABLE] == [case[0] for case in CASES]
    words = [ORDER[row.word] for row in TABLE]
    assert words == sorted(words, reverse=True)


def test_a_clean_set_says_what_could_not_have_been_seen() -> None:
    decision = decide_set(CLEAN)
    assert (decision.word, decision.rows, decision.hold_back) == ("no copies found", (), ())
    assert decision.sentence == (
        "No copies were found among 300 images. At most 1.2% of them could be copies of the kinds that were tested "
        "(95% interval). Of copies planted to test it, the detector finds 94%; it sees least of those changed by crop "
        "(71%) and noise (85%). Copies changed more strongly were not checked."
    )


def test_the_first_paragraph_names_files_and_whom_to_inform() -> None:
    names = tuple(f"{k}.png" for k in range(9))
    found = replace(CLEAN, called=9, groups=9, certain=9, certain_patients=3, p_single=1e-8, p_count=1e-9, names=names)
    sentence = decide_set(found).sentence
    assert sentence.startswith("Do not release this set. 9 of the 300 images are certain copies of 3 training patients")
    assert "Hold back 0.png, 1.png, 2.png, 3.png, 4.png and 4 more (all are listed in audit.csv)." in sentence
    assert "Inform your data protection officer, who decides whether the 3 or so patients concerned" in sentence
    assert "crop (71%)" in sentence
    samples = decide_set(replace(found, noun="sample", real=False, names=("sample 4",))).sentence
    assert samples.startswith("Do not release these samples. 9 of the 300 samples are")
    assert "data protection officer" not in samples
    nobody = decide_set(replace(CLEAN, p_permuted=0.001)).sentence
    assert "No single image can be named, so hold back all images." in nobody
    assert "which" not in files_words((), 3, "")
    assert files_words((), 3, "audit.csv") == "3 images (all are listed in audit.csv)"


@pytest.mark.parametrize(
    ("expected", "explains"), [(0.01, False), (0.3, False), (1.9, False), (2.0, True), (5.0, True)]
)
def test_chance_explains_only_as_many_as_it_gives(expected: float, explains: bool) -> None:
    decision = decide_set(replace(CLEAN, called=2, groups=2, expected=expected, names=("a.png", "b.png")))
    assert decision.word == "review"
    assert ("chance can explain" in decision.sentence) == explains
    assert "Hold back a.png and b.png." in decision.sentence


def test_smoke_and_a_shift_are_said_in_every_first_paragraph() -> None:
    decision = decide_set(replace(CLEAN, preset="smoke", shifted=0.9, certain=1, certain_patients=1, p_single=1e-9))
    assert decision.word == "do not release"
    assert "only tested the path" in decision.sentence
    assert "--strata" in decision.sentence
    assert "even within site and view" in decide_set(replace(CLEAN, shifted=0.8, strata=("site", "view"))).sentence


def test_certain_matches_that_were_not_counted_are_never_explained_by_chance() -> None:
    leaked = replace(CLEAN, held_out_certain=40, held_out_called=0, held_out_groups=0, held_out_expected=0.04)
    reason = decide_set(leaked).reasons[0]
    assert "40 of the 300 images match one of them as a copy does. Ask who" in reason
    one = {"held_out_certain": 1, "held_out_called": 1, "held_out_groups": 1, "held_out_expected": 1.5}
    assert "1 of the 300 images matches one of them as a copy does. Ask" in decide_set(replace(CLEAN, **one)).reasons[0]  # type: ignore[arg-type]
    part = replace(CLEAN, regions=RegionFindings(300, held_out_certain=1, held_out_expected=1.5))
    assert "as a copy does. Ask" in decide_set(part).reasons[0]
    for row, change, word, _ in CASES:
        reason = decide_set(replace(CLEAN, **change)).reasons[0]  # type: ignore[arg-type]
        assert word == LOOK or "chance can explain" not in reason, row


def test_more_files_than_are_called_are_explained() -> None:
    led = replace(CLEAN, p_permuted=0.0001, called=1, led=29, names=tuple(f"{k}.png" for k in range(30)))
    sentence = decide_set(led).sentence
    assert "29 more images lead the list of matches" in sentence
    assert "Hold back 0.png" in sentence
    one = decide_set(replace(led, led=1)).sentence
    assert "1 more image leads the list of matches" in one
    alone = decide_set(replace(led, led=1, p_permuted=None, p_count=1e-6, holdout_patients=0)).sentence
    assert "1 more image matches training patients so closely" in alone
    assert "lead the list" not in decide_set(replace(led, called=30, led=0)).sentence
    alone = decide_set(replace(led, p_permuted=None, p_count=1e-6, holdout_patients=0)).sentence
    assert "29 more images match training patients so closely that chance explains at most 1 in 10" in alone


def test_matches_weaker_than_those_of_new_patients_must_lead_by_more() -> None:
    leading = replace(CLEAN, p_permuted=0.006, p_closest=0.001)
    assert decide_set(leading).rows[0] == "training patients lead"
    blurred = replace(leading, p_permuted=0.0002, p_closest=0.8)
    assert decide_set(blurred).word == "do not release"
    noise = decide_set(replace(leading, p_closest=0.8))
    assert (noise.word, noise.rows) == ("review", ("training patients lead somewhat",))
    assert "no image matches them better than 95% of new patients' images match somebody" in noise.sentence


def test_a_rate_below_zero_is_no_negative_share() -> None:
    for p_value in (0.001, 0.6):
        decision = decide_set(replace(CLEAN, rate=(-0.7, -0.9, 0.1), p_permuted=p_value, patients=-3.0))
        assert "-" not in decision.sentence.replace("held-out", "")
    assert not_checked(replace(CLEAN, sensitivity=None)).startswith("What share of changed copies")


p_values = st.floats(0, 1)
any_findings = st.builds(
    Findings,
    images=st.integers(1, 2000),
    called=st.integers(0, 50),
    held_out_called=st.integers(0, 50),
    exact=st.integers(0, 2),
    certain=st.integers(0, 5),
    certain_patients=st.integers(0, 5),
    held_out_certain=st.integers(0, 3),
    p_single=p_values,
    groups=st.none() | st.integers(0, 50),
    expected=st.none() | st.floats(0, 60),
    p_count=p_values,
    p_held_out=p_values,
    p_permuted=st.none() | p_values,
    p_closest=p_values,
    rate=st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1)),
    patients=st.floats(-5, 50),
    share=st.none() | st.floats(0, 1),
    p_share=st.none() | p_values,
    preset=st.sampled_from(["smoke", "quick"]),
    train_patients=st.none() | st.integers(4, 100),
    holdout_patients=st.integers(0, 100),
    shifted=st.none() | st.floats(0.5, 1),
    empty=st.integers(0, 3),
    sensitivity=st.none() | st.floats(0, 1),
    regions=st.none()
    | st.builds(
        RegionFindings,
        images=st.integers(0, 2000),
        called=st.integers(0, 20),
        certain=st.integers(0, 5),
        held_out_called=st.integers(0, 20),
        held_out_certain=st.integers(0, 5),
        p_count=p_values,
        p_held_out=p_values,
        p_single=p_values,
        parts=st.just(()) | st.tuples(st.tuples(st.floats(0.01, 0.5), st.floats(0, 1))),
    ),
)


@settings(max_examples=300, deadline=None)
@given(any_findings, st.booleans())
def test_more_evidence_never_makes_the_word_milder(findings: Findings, held_out: bool) -> None:
    before = decide_set(findings)
    side = "held_out_called" if held_out else "called"
    more = replace(findings, **{side: getattr(findings, side) + 1, "names": (*findings.names, "x.png")})
    after = decide_set(more)
    assert ORDER[after.word] >= max(ORDER[before.word], 1)
    assert "x.png" in after.sentence
    assert "No copies" not in after.sentence
    assert "safe" not in after.sentence
    certain = decide_set(replace(findings, certain=findings.certain + 1))
    assert certain.word == "do not release"
    if before.word == "no copies found":
        assert not findings.all_called
        assert findings.preset != "smoke"
    assert "which chance explains" not in before.sentence
    assert len(before.reasons) == len(before.rows)


def test_an_all_clear_says_how_many_images_were_searched_for_parts() -> None:
    parts = ((0.5, 1.0),)
    some = decide_set(replace(CLEAN, images=10_000, empty=0, regions=RegionFindings(150, parts=parts)))
    assert "Parts were searched in 150 of the 10000 images only, drawn at random." in some.sentence
    every = decide_set(replace(CLEAN, images=300, empty=0, regions=RegionFindings(300, parts=parts)))
    assert "drawn at random" not in every.sentence
