"""What a wait is about, derived from lock rows and statements. Pure."""
