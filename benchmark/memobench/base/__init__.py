"""What everything else stands on: errors, seeds, registries, the store of finished stages, progress, threads, cost."""
