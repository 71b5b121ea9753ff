-- What the fleet had over time: a point every few minutes, thinned to hours and days as
-- they grow old. The body is a document of the points.
CREATE TABLE trend (
  at BIGINT PRIMARY KEY,
  last_event BIGINT NOT NULL,
  body {text} NOT NULL
) {clustered};
