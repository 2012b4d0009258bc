"""Copy detection: retrieve, register, verify, decide; and planted copies, to learn from and to be judged by."""
