"""One file per resource: its views and, at the end, its `urls`."""
