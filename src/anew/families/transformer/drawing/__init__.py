"""How samples are drawn: whole records, bounded passages, errors as seldom as in the data."""
