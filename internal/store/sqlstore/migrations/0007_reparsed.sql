-- How often what is derived from the bytes of an account's messages was made anew:
-- who remembers something made of it asks whether it still holds.
ALTER TABLE account ADD COLUMN reparsed INTEGER NOT NULL DEFAULT 0;
