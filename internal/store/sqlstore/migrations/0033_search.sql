-- Concerns PostgreSQL alone: nodes share the search indexes, which one server has in
-- files of their own.
-- reads from: 0027
SELECT 1;
