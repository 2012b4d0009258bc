"""Statistics that know nothing of images: tests by exchange, jackknife, intervals."""
