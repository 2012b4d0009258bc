"""Submissions: a run made fit to be trusted by others, and what it takes to verify one."""
