"""The version of memobench that is installed."""

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("memobench")
except PackageNotFoundError:  # a bare clone on the path, not installed
    VERSION = "0+unknown"
