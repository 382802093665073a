"""The demo: an account whose flows run for real, on real data, into a real database."""

ACCOUNT = "Demo"
