"""Sandboxes: where submissions run, and canaries that try them."""
