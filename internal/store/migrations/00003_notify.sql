-- Channels, what they were told, and the messages on their way to them.

ALTER TABLE event ADD COLUMN told SMALLINT NOT NULL DEFAULT 1;
CREATE INDEX event_untold ON event (id) WHERE told = 0;
CREATE TABLE notify_channel (
  id {id},
  name {text} NOT NULL UNIQUE,
  kind {text} NOT NULL,
  host {text} NOT NULL,
  settings {text} NOT NULL,
  address {blob} NOT NULL,
  secret {blob} NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE TABLE notify_told (
  channel_id BIGINT NOT NULL,
  subject {text} NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (channel_id, subject)
) {clustered};
CREATE TABLE notify_message (
  id {id},
  event_id {text} NOT NULL UNIQUE,
  channel_id BIGINT NOT NULL,
  at BIGINT NOT NULL,
  body {text} NOT NULL,
  state {text} NOT NULL,
  attempts BIGINT NOT NULL DEFAULT 0,
  problem {text} NOT NULL DEFAULT '',
  receipt {text} NOT NULL DEFAULT '',
  sent_at BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX notify_message_channel ON notify_message (channel_id, state, id);
-- Since when a repository key is watched: what was there then is not news.
CREATE TABLE notify_baseline (
  integration_id BIGINT NOT NULL,
  key {text} NOT NULL,
  since BIGINT NOT NULL,
  PRIMARY KEY (integration_id, key)
) {clustered};
