"""Tests of the package, the chapters, and the site."""
