-- Concerns PostgreSQL alone: where sealed records lie.
-- reads from: 0027
SELECT 1;
