"""The leaderboard: submissions read, seeds joined into rows, rows ranked, and the board shown in many formats."""
