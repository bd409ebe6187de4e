"""Tests of the interactive figures; a package, so that names may repeat."""
