"""The tasks of the benchmark, one file each: the file's stem is the name."""
