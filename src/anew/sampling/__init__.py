"""From a finished run to new items."""
