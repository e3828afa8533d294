-- What a long series says of itself names each of its slices: more than one dialect's TEXT holds. Neither dialect can both
-- change a column's type in the words of the other.
ALTER TABLE identities ADD COLUMN identity_whole MEDIUMTEXT;
UPDATE identities SET identity_whole = identity_json;
ALTER TABLE identities DROP COLUMN identity_json;
ALTER TABLE identities RENAME COLUMN identity_whole TO identity_json;
