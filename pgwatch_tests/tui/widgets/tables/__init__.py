"""Tables of live rows: their columns, what is drawn of them, the cursor that stays on its row."""
