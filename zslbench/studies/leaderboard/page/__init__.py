"""A leaderboard as one page of HTML, and its figures."""
