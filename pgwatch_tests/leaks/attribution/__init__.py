"""Attribution: which test left a row, and how surely."""
