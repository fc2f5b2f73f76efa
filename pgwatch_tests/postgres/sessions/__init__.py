"""Sessions that give way to whoever wants their table or their database."""
