"""``python -m memobench.cli`` is ``bench``."""

from memobench.cli.main import main

main()
