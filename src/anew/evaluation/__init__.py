"""How close to the data, how varied: each figure beside what real data scores against real data."""
