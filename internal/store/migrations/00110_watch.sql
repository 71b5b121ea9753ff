-- Questions to who-has that are asked of every image that comes later, and which had it.

CREATE TABLE who_watch (
  id {id},
  name {text} NOT NULL UNIQUE,
  query {text} NOT NULL,
  ecosystem {text} NOT NULL,
  author {text} NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE TABLE who_watch_hit (
  watch_id BIGINT NOT NULL,
  digest {blob} NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (watch_id, digest)
) {clustered};
