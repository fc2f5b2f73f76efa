"""What the server answered, as the dashboard keeps it: the latest, the last hour, trends."""
