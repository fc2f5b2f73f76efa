"""What the dashboard is given to work with on a live server."""
