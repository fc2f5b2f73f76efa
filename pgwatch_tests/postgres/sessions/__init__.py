"""Sessions that give way to others who want their table or their database."""
