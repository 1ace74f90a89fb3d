"""What operators run by hand: `python -m sender …`, with the workers' settings."""
