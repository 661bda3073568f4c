"""Getting published datasets: their archives, and the folders that the loaders read."""
