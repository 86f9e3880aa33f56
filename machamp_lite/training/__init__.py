"""Training runs: the loop, optimizer, checkpoints and run folders."""
