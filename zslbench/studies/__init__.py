"""Studies: each plans runs, has them executed, and reads records."""
