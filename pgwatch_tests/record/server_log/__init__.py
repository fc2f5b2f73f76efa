"""The server's log: its entries on locks in three formats, joined to tests and to what polls saw."""
