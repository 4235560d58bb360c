"""Sources of records: folders, tables, archives, the hub."""
