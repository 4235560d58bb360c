"""What is in a run folder, and how it is read, written and locked. A run may come from anybody: nothing in it is believed."""
