-- One text for both databases. {id} is a key the database numbers, {text} compares by
-- bytes, {blob} is bytes, {clustered} keeps a table in the order of its key where that
-- exists. Times are unix milliseconds, 0 = unknown. Digests are raw bytes.

CREATE TABLE counter (
  name {text} PRIMARY KEY,
  value BIGINT NOT NULL
) {clustered};
INSERT INTO counter (name, value) VALUES ('advisories', 0);

CREATE TABLE integration (
  id {id},
  name {text} NOT NULL UNIQUE,
  kind {text} NOT NULL,
  url {text} NOT NULL,
  registry {text} NOT NULL,
  username {text} NOT NULL,
  subdomain_mode SMALLINT NOT NULL,
  settings {text} NOT NULL,
  password {blob} NOT NULL,
  webhook {blob} NOT NULL,
  state {text} NOT NULL,
  problem {text} NOT NULL,
  remedy {text} NOT NULL,
  created_at BIGINT NOT NULL,
  last_poll BIGINT NOT NULL DEFAULT 0,
  last_reconcile BIGINT NOT NULL DEFAULT 0,
  disconnected_at BIGINT NOT NULL DEFAULT 0,
  not_selected BIGINT NOT NULL DEFAULT 0,
  layer_bytes BIGINT NOT NULL DEFAULT 0,
  layers_read BIGINT NOT NULL DEFAULT 0
);
CREATE TABLE repository_key (
  integration_id BIGINT NOT NULL,
  key {text} NOT NULL,
  body {text} NOT NULL,
  PRIMARY KEY (integration_id, key)
) {clustered};
CREATE TABLE request (
  integration_id BIGINT NOT NULL,
  class {text} NOT NULL,
  n BIGINT NOT NULL,
  PRIMARY KEY (integration_id, class)
) {clustered};
CREATE TABLE watermark (
  integration_id BIGINT NOT NULL,
  name {text} NOT NULL,
  value {text} NOT NULL,
  PRIMARY KEY (integration_id, name)
) {clustered};
CREATE TABLE hint (
  id {id},
  integration_id BIGINT NOT NULL,
  key {text} NOT NULL,
  image {text} NOT NULL,
  tag {text} NOT NULL,
  at BIGINT NOT NULL
);
CREATE INDEX hint_integration ON hint (integration_id, id);

CREATE TABLE repository (
  id {id},
  integration_id BIGINT NOT NULL,
  key {text} NOT NULL,
  image {text} NOT NULL,
  UNIQUE (integration_id, key, image)
);
CREATE INDEX repository_image ON repository (image, key);
CREATE TABLE tag (
  id {id},
  repository_id BIGINT NOT NULL,
  name {text} NOT NULL,
  image_id BIGINT NOT NULL,
  created BIGINT NOT NULL,
  pushed BIGINT NOT NULL,
  first_seen BIGINT NOT NULL,
  since BIGINT NOT NULL,
  last_seen BIGINT NOT NULL,
  gone BIGINT NOT NULL DEFAULT 0,
  missed BIGINT NOT NULL DEFAULT 0,
  UNIQUE (repository_id, name)
);
CREATE INDEX tag_image ON tag (image_id, gone);
CREATE INDEX tag_pushed ON tag (pushed, id);
CREATE TABLE tag_move (
  id {id},
  tag_id BIGINT NOT NULL,
  image_id BIGINT NOT NULL,
  from_at BIGINT NOT NULL,
  to_at BIGINT NOT NULL
);
CREATE INDEX tag_move_tag ON tag_move (tag_id, from_at);
CREATE INDEX tag_move_image ON tag_move (image_id);

CREATE TABLE image (
  id {id},
  digest {blob} NOT NULL UNIQUE,
  kind {text} NOT NULL DEFAULT '',
  media_type {text} NOT NULL DEFAULT '',
  size BIGINT NOT NULL DEFAULT 0,
  platform {text} NOT NULL DEFAULT '',
  state {text} NOT NULL,
  problem {text} NOT NULL DEFAULT '',
  retry SMALLINT NOT NULL DEFAULT 0,
  indexer BIGINT NOT NULL DEFAULT 0,
  chain_id BIGINT NOT NULL DEFAULT 0,
  created BIGINT NOT NULL DEFAULT 0,
  source {text} NOT NULL DEFAULT '',
  revision {text} NOT NULL DEFAULT '',
  base_name {text} NOT NULL DEFAULT '',
  body {blob},
  first_seen BIGINT NOT NULL,
  analysed_at BIGINT NOT NULL DEFAULT 0,
  packages BIGINT NOT NULL DEFAULT 0,
  critical BIGINT NOT NULL DEFAULT 0,
  high BIGINT NOT NULL DEFAULT 0,
  medium BIGINT NOT NULL DEFAULT 0,
  low BIGINT NOT NULL DEFAULT 0,
  unspecified BIGINT NOT NULL DEFAULT 0,
  fix_critical BIGINT NOT NULL DEFAULT 0,
  fix_high BIGINT NOT NULL DEFAULT 0,
  fix_medium BIGINT NOT NULL DEFAULT 0,
  fix_low BIGINT NOT NULL DEFAULT 0,
  fix_unspecified BIGINT NOT NULL DEFAULT 0,
  score BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX image_chain ON image (chain_id);
CREATE INDEX image_score ON image (score, id);
CREATE INDEX image_unsettled ON image (state) WHERE state <> 'analysed';
CREATE TABLE index_member (
  index_id BIGINT NOT NULL,
  position BIGINT NOT NULL,
  digest {blob} NOT NULL,
  kind {text} NOT NULL,
  platform {text} NOT NULL,
  PRIMARY KEY (index_id, position)
) {clustered};
CREATE INDEX index_member_digest ON index_member (digest);

CREATE TABLE layer (
  diff_id {blob} NOT NULL,
  indexer BIGINT NOT NULL,
  size BIGINT NOT NULL,
  body {blob} NOT NULL,
  PRIMARY KEY (diff_id, indexer)
);
CREATE TABLE layer_blob (
  digest {blob} PRIMARY KEY,
  diff_id {blob} NOT NULL
) {clustered};
CREATE INDEX layer_blob_diff_id ON layer_blob (diff_id);
CREATE TABLE lease (
  diff_id {blob} NOT NULL,
  indexer BIGINT NOT NULL,
  holder {text} NOT NULL,
  until BIGINT NOT NULL,
  PRIMARY KEY (diff_id, indexer)
) {clustered};
CREATE TABLE chain (
  id {id},
  chain_id {blob} NOT NULL,
  indexer BIGINT NOT NULL,
  parent_id BIGINT NOT NULL,
  diff_id {blob} NOT NULL,
  depth BIGINT NOT NULL,
  body {blob} NOT NULL,
  UNIQUE (chain_id, indexer)
);
CREATE INDEX chain_parent ON chain (parent_id);
CREATE INDEX chain_diff_id ON chain (diff_id);
CREATE TABLE chain_package (
  package_id BIGINT NOT NULL,
  chain_id BIGINT NOT NULL,
  removed SMALLINT NOT NULL,
  PRIMARY KEY (package_id, chain_id)
) {clustered};
CREATE TABLE stale_chain (
  chain_id BIGINT PRIMARY KEY,
  mark BIGINT NOT NULL
);

CREATE TABLE package (
  id {id},
  purl {text} NOT NULL UNIQUE,
  name {text} NOT NULL,
  version {text} NOT NULL,
  ecosystem {text} NOT NULL,
  source_name {text} NOT NULL,
  source_version {text} NOT NULL,
  arch {text} NOT NULL,
  licenses {text} NOT NULL,
  indexer BIGINT NOT NULL,
  matched SMALLINT NOT NULL,
  matched_at BIGINT NOT NULL DEFAULT 0,
  touched BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX package_unmatched ON package (id) WHERE matched = 0;
CREATE INDEX package_name ON package (name);
CREATE TABLE package_key (
  ecosystem {text} NOT NULL,
  name {text} NOT NULL,
  package_id BIGINT NOT NULL,
  PRIMARY KEY (ecosystem, name, package_id)
) {clustered};
CREATE INDEX package_key_package ON package_key (package_id);

CREATE TABLE advisory (
  id {id},
  name {text} NOT NULL UNIQUE,
  modified BIGINT NOT NULL,
  withdrawn BIGINT NOT NULL,
  hash {blob} NOT NULL,
  parsed {blob} NOT NULL
);
CREATE INDEX advisory_modified ON advisory (modified);
CREATE TABLE advisory_raw (
  advisory_id BIGINT PRIMARY KEY,
  raw {blob} NOT NULL
);
CREATE TABLE advisory_key (
  ecosystem {text} NOT NULL,
  name {text} NOT NULL,
  advisory_id BIGINT NOT NULL,
  PRIMARY KEY (ecosystem, name, advisory_id)
) {clustered};
CREATE INDEX advisory_key_advisory ON advisory_key (advisory_id);
CREATE TABLE feed (
  source {text} PRIMARY KEY,
  synced_at BIGINT NOT NULL
) {clustered};
CREATE TABLE kev (
  cve {text} PRIMARY KEY,
  added BIGINT NOT NULL,
  due BIGINT NOT NULL
) {clustered};
CREATE TABLE epss (
  cve {text} PRIMARY KEY,
  score DOUBLE PRECISION NOT NULL,
  percentile DOUBLE PRECISION NOT NULL
) {clustered};
CREATE TABLE verdict (
  package_id BIGINT NOT NULL,
  flaw {text} NOT NULL,
  advisory {text} NOT NULL,
  aliases {text} NOT NULL,
  modified BIGINT NOT NULL,
  published BIGINT NOT NULL,
  summary {text} NOT NULL,
  severity SMALLINT NOT NULL,
  severity_source {text} NOT NULL,
  cvss_vector {text} NOT NULL,
  cvss_score DOUBLE PRECISION NOT NULL,
  fixed {text} NOT NULL,
  ranges {text} NOT NULL,
  comparator {text} NOT NULL,
  first_seen BIGINT NOT NULL,
  PRIMARY KEY (package_id, flaw)
) {clustered};
CREATE INDEX verdict_flaw ON verdict (flaw);

CREATE TABLE event (
  id {id},
  kind {text} NOT NULL,
  subject {text} NOT NULL,
  at BIGINT NOT NULL,
  integration_id BIGINT NOT NULL,
  body {text} NOT NULL,
  UNIQUE (kind, subject)
);

CREATE TABLE signin_link (
  hash {blob} PRIMARY KEY,
  expires BIGINT NOT NULL
) {clustered};
CREATE TABLE session (
  hash {blob} PRIMARY KEY,
  name {text} NOT NULL,
  role {text} NOT NULL,
  created BIGINT NOT NULL,
  expires BIGINT NOT NULL
) {clustered};
CREATE TABLE token (
  hash {blob} PRIMARY KEY,
  name {text} NOT NULL UNIQUE,
  scope {text} NOT NULL,
  created BIGINT NOT NULL,
  expires BIGINT NOT NULL,
  last_used BIGINT NOT NULL
) {clustered};
