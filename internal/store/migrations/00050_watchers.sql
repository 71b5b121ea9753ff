-- Watchers that are far away: who is alive, what they still have to do, and which token
-- vouched for what. An empty watcher or voucher is this server itself.

ALTER TABLE integration ADD COLUMN watcher {text} NOT NULL DEFAULT '';
ALTER TABLE layer ADD COLUMN voucher {text} NOT NULL DEFAULT '';
ALTER TABLE layer_blob ADD COLUMN voucher {text} NOT NULL DEFAULT '';
ALTER TABLE chain ADD COLUMN voucher {text} NOT NULL DEFAULT '';
ALTER TABLE image ADD COLUMN voucher {text} NOT NULL DEFAULT '';
CREATE INDEX layer_voucher ON layer (voucher) WHERE voucher <> '';
CREATE INDEX layer_blob_voucher ON layer_blob (voucher) WHERE voucher <> '';
CREATE INDEX chain_voucher ON chain (voucher) WHERE voucher <> '';
CREATE INDEX image_voucher ON image (voucher) WHERE voucher <> '';

CREATE TABLE watcher (
  name {text} PRIMARY KEY,
  holder {text} NOT NULL,
  until BIGINT NOT NULL
) {clustered};

CREATE TABLE token_integration (
  token {text} NOT NULL,
  integration {text} NOT NULL,
  PRIMARY KEY (token, integration)
) {clustered};

CREATE TABLE errand (
  integration_id BIGINT NOT NULL,
  digest {blob} NOT NULL,
  pushed BIGINT NOT NULL,
  due BIGINT NOT NULL DEFAULT 0,
  attempt BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (integration_id, digest)
) {clustered};
