-- What is remembered of an advisory feed between two synchronisations: a document of
-- the one who synchronises.
CREATE TABLE feed_state (
  name {text} PRIMARY KEY,
  body {text} NOT NULL
) {clustered};
