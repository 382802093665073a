"""Files in a confined folder: CSV, JSON, JSON Lines, XLSX, gzip."""
