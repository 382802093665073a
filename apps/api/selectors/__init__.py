"""What answers are read from, where it is more than one table's row."""
