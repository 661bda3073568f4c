"""A public leaderboard: a repository of bundles, and the page that is built from them."""
