"""Experiments too long for a notebook: one command each, results stored as JSON."""
