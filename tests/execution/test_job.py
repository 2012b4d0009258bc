from __future__ import annotations

import pytest
from memobench.base.errors import MemobenchError
from memobench.execution.job import Job, carry_out, command


@pytest.mark.smoke
def test_a_command_that_fails_says_its_last_lines() -> None:
    with pytest.raises(MemobenchError, match='unknown model "nobody"') as failed:
        command(["run", "--model", "nobody", "--task", "xray"])
    assert len(str(failed.value).splitlines()) == 1
    assert carry_out(Job("list", command, (["list", "models"],))).error == ""
