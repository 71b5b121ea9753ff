-- What is asked by name, by file and by exception.

CREATE INDEX package_source ON package (source_name, name);

-- Files that were read, where a stack has them and its parent has not, or the other way round.
CREATE TABLE chain_file (
  sha256 {blob} NOT NULL,
  chain_id BIGINT NOT NULL,
  path {text} NOT NULL,
  removed SMALLINT NOT NULL,
  PRIMARY KEY (sha256, chain_id, path)
) {clustered};
CREATE INDEX chain_file_chain ON chain_file (chain_id);

-- Rules of a repository stand apart: they concern tags, the others what an image has.
CREATE TABLE exception (
  id {id},
  scope {text} NOT NULL UNIQUE,
  repository {text} NOT NULL,
  body {text} NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  ended SMALLINT NOT NULL DEFAULT 0
);
CREATE INDEX exception_ends ON exception (expires_at) WHERE ended = 0;

-- What advisories speak of, as they write it: everything else cannot be assessed.
CREATE TABLE advisory_ecosystem (
  name {text} PRIMARY KEY
) {clustered};
