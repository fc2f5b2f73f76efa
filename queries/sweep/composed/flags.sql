-- Which flags does a row have: marked, asked for, how old?
--
-- By itself, so that no name in it can be one of another table.
(SELECT $expression FROM (SELECT $columns) AS r)
