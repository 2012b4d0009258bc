"""Whose code made a result: digests of entries, and the ledger that keeps results valid when code is only rewritten.

A result names its code by :func:`code_digest`. For an entry of memobench that is a digest over the syntax trees of all
that can change its numbers (:mod:`memobench.provenance.digest`), or, where the ledger knows the trees, the digest under
which older results of the same numbers are stored. A file that somebody else wrote counts to the last byte
(:func:`source_digest`).
"""

from memobench.provenance.code import code_digest, source_digest
from memobench.provenance.versions import environment

__all__ = ["code_digest", "environment", "source_digest"]
