"""A leaderboard that is asked for: its suite, its runs, what they may take, its tuning."""
