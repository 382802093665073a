"""Files on other machines: an SFTP server, a bucket of S3 or of a store that speaks like it."""
