"""The e-mail connector: one message for each record, or one for each page."""
