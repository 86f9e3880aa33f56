"""What ``import machamp_lite`` offers: models that predict in memory, their predictions, and runs."""
