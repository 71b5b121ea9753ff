-- People with passwords or an OpenID provider behind them, their sessions, and the log of
-- who changed what. Sessions of before knew nobody by name: they end.

CREATE TABLE account (
  id {id},
  name {text} NOT NULL UNIQUE,
  role {text} NOT NULL,
  password {text} NOT NULL,
  issuer {text} NOT NULL,
  subject {text} NOT NULL,
  created BIGINT NOT NULL,
  last_signin BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX account_external ON account (issuer, subject) WHERE issuer <> '';

DROP TABLE session;
CREATE TABLE session (
  hash {blob} PRIMARY KEY,
  account_id BIGINT NOT NULL,
  created BIGINT NOT NULL,
  last_used BIGINT NOT NULL,
  expires BIGINT NOT NULL,
  address {text} NOT NULL,
  agent {text} NOT NULL
) {clustered};
CREATE INDEX session_account ON session (account_id);

DROP TABLE signin_link;
CREATE TABLE signin_link (
  hash {blob} PRIMARY KEY,
  account_id BIGINT NOT NULL,
  expires BIGINT NOT NULL
) {clustered};

CREATE TABLE audit (
  id {id},
  at BIGINT NOT NULL,
  actor {text} NOT NULL,
  via {text} NOT NULL,
  address {text} NOT NULL,
  action {text} NOT NULL,
  subject {text} NOT NULL,
  before {text} NOT NULL,
  after {text} NOT NULL
);
CREATE INDEX audit_subject ON audit (subject, id);
CREATE INDEX audit_actor ON audit (actor, id);
