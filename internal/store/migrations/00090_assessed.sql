-- The ecosystems of the packages of an image that has no finding, one a line: when no
-- advisories are kept for any of them, no finding means nothing. '?' is not recorded yet.
ALTER TABLE image ADD COLUMN ecosystems {text} NOT NULL DEFAULT '?';
