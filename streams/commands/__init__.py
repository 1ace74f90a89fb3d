"""What operators run by hand: `python -m streams …`, with the workers' settings."""
