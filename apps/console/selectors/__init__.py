"""Reads of the console that are not a queryset, as frozen dataclasses."""
