-- What was there when watching began and is left alone until it differs. A tag that was
-- sighted since has no row here.

CREATE TABLE baseline (
  integration_id BIGINT NOT NULL,
  key {text} NOT NULL,
  image {text} NOT NULL,
  tag {text} NOT NULL,
  digest {blob} NOT NULL,
  PRIMARY KEY (integration_id, key, image, tag)
) {clustered};
