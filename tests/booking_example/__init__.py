"""The example of examples/booking: exactly its bad tests are named, in each order."""
