"""How an evaluation keeps within its time: the time that it has, the questions that it can answer, and the order of measurements."""
