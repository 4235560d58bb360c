"""Where records come from: folders, tables, archives, the hub."""
