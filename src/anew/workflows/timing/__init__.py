"""How an evaluation keeps within its time: what it is given, what it can answer, and what is measured in the time left."""
