-- What does a row say of itself?
--
-- By itself, so that no name in it can be one of another table.
(SELECT $expression FROM (SELECT $columns) AS r)
