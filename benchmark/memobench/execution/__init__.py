"""Where jobs run: in this process, in several on this machine, on a Slurm cluster or on a Ray cluster.

A job is a call that can be pickled. What it makes is stored under its content in a folder that all workers share, or it
is small and sent back: the results are the same bytes wherever the jobs ran. A worker that dies costs its own job,
which is done again.
"""
