"""Sessions that give way: whoever wants the table or the database gets it."""
