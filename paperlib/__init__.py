"""A runnable companion to two papers on neural-network pruning."""
