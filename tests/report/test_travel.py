"""Results as other places read them, with their own readers where there are any."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from memobench.base.errors import DataError, UsageError
from memobench.cli.main import main
from memobench.report.travel import Destination, every_eval_ever, exported, model_card
from memobench.results import Result
from memobench.settings import PLACES
from memobench.submissions.older import result_of_folder

BOARD = Path(__file__).parents[2] / "leaderboard" / "submissions"
WHERE = Destination("owner/memobench", "me/model", "https://example.org/run", 1767225600)


@pytest.fixture(scope="module")
def result() -> Result:
    (folder,) = BOARD.glob("xray/xray-vqgan-*")
    return result_of_folder(folder)


def test_the_hub_reads_its_eval_results(result: Result) -> None:
    yaml = pytest.importorskip("yaml")
    hub = pytest.importorskip("huggingface_hub")
    if not hasattr(hub, "parse_eval_result_entries"):
        pytest.skip("this huggingface_hub has no reader of .eval_results")
    entries = hub.parse_eval_result_entries(yaml.safe_load(exported([result], "eval-results", WHERE)))
    found = {entry.task_id: entry for entry in entries}
    assert {"xray_copy_rate", "xray_fd_ssl", "xray_train_share"} <= set(found)
    rate = found["xray_copy_rate"]
    assert rate.value == result.metrics["copy_rate"].value
    assert (rate.dataset_id, rate.source_url, rate.source_name) == (WHERE.dataset, WHERE.link, result.run_id)
    for words in ("95% interval", "null 0.0%", f"decision: {result.decision.word}", "seed 0"):
        assert words in rate.notes


def test_a_record_of_every_eval_ever_holds_all_metrics_with_their_intervals(result: Result) -> None:
    record = json.loads(exported([result], "every-eval-ever", WHERE))
    wanted = {"schema_version", "evaluation_id", "retrieved_timestamp", "source_metadata", "model_info"}
    assert set(record) == wanted | {"eval_library", "evaluation_results"}
    assert record["evaluation_id"] == "memobench-xray/me/model/1767225600"
    rows = {one["evaluation_name"]: one for one in record["evaluation_results"]}
    assert set(rows) == {f"xray_{name}" for name in result.metrics}
    rate, metric = rows["xray_copy_rate"], result.metrics["copy_rate"]
    assert rate["score_details"]["score"] == metric.value
    assert rate["score_details"]["uncertainty"]["confidence_interval"]["upper"] == metric.high
    assert rate["metric_config"]["lower_is_better"]

    def texts(value: Any) -> None:
        """Details are texts, as the schema wants them."""
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            if key in ("additional_details", "details"):
                assert all(isinstance(one, str) for one in inner.values())
            elif isinstance(inner, dict | list):
                texts(inner)

    texts(record)
    assert every_eval_ever(result, Destination())["evaluation_results"][0]["source_data"]["source_type"] == "other"


def test_a_model_card_begins_with_the_decision(result: Result) -> None:
    card = model_card(result)
    assert card.splitlines()[2].startswith(f"**{result.decision.word.capitalize()}.**")
    assert "| copy rate" in card
    assert result.run_id in card
    hostile = result.identity.model_copy(update={"data": "<script>|"})
    assert "<script>" not in model_card(result.model_copy(update={"identity": hostile}))


def test_tables_hold_every_run(result: Result) -> None:
    rows = list(csv.DictReader(io.StringIO(exported([result, result], "csv", WHERE))))
    assert len(rows) == 2 * len(result.metrics)
    (rate, _) = [row for row in rows if row["metric"] == "copy_rate"]
    assert float(rate["value"]) == result.metrics["copy_rate"].value
    table = exported([result, result], "latex", WHERE)
    assert table.count("vqgan") == 2
    assert "\\toprule" in table
    assert "\\%" in table


def test_what_is_missing_or_wrong_is_said(result: Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, reason in (
        ((("eval-results", Destination())), "--dataset OWNER/NAME"),
        ((("csv", Destination(link="ftp://x"))), "is no address"),
        ((("csv", Destination(model="x"))), "is no name on the Hub"),
    ):
        with pytest.raises(UsageError, match=reason):
            exported([result], *words)
    with pytest.raises(UsageError, match="is of one run"):
        exported([result, result], "every-eval-ever", WHERE)
    with pytest.raises(DataError, match=r"holds no result\.json"):
        result_of_folder(tmp_path)
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(DataError, match="cannot be read"):
        result_of_folder(tmp_path)
    (folder,) = BOARD.glob("xray/xray-vqgan-*")
    for style in PLACES:
        with pytest.raises(SystemExit, match="0"):
            main(["export", str(folder), "--format", style, "--dataset", "a/b"])
        assert capsys.readouterr().out
