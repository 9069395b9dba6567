"""Faults on purpose, counted: `make soak` runs the long form, tests/test_faults_*.py short ones."""
