"""Adapters between Hydra and seqsweep; found by Hydra, which imports them in every application."""
