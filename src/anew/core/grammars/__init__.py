"""Grammars of programming languages, and languages of records: which there are, where strings and comments are, and whether a beginning
can go on."""
