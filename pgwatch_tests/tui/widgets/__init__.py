"""What the dashboard's tabs are made of."""
