"""`interleave`: runs functions against one database in every order of their statements that can matter."""
