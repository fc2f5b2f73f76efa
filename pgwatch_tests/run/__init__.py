"""A suite's run: its command, the recorder beside it, whose database it is, what is done before and after."""
