"""Commands that look after data, results and the installation."""
