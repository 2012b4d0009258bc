"""The commands of ``bench``, by subject; nothing heavy is imported before a command needs it."""
