"""``python -m memobench.cli.main`` is ``bench``."""

from memobench.cli.main import main

main()
