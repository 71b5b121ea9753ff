-- Which images changed their place in the tree of chains, their tags or their index: what
-- a process keeps of the fleet in memory is read again from here. xid orders what commits
-- out of turn on PostgreSQL.
CREATE TABLE fleet_log (
  seq {id},
  image_id BIGINT NOT NULL,
  xid BIGINT NOT NULL DEFAULT {xid}
);
CREATE INDEX fleet_log_xid ON fleet_log (xid);
-- chain_package of the packages that many chains name, as bitmaps of chain ids up to one:
-- derived, and made again when it lags. What chain_package says of later chains is read there.
CREATE TABLE package_chains (
  package_id BIGINT PRIMARY KEY,
  upto BIGINT NOT NULL,
  named BIGINT NOT NULL,
  here {blob} NOT NULL,
  owned {blob} NOT NULL,
  gone {blob} NOT NULL
);
INSERT INTO fleet_log (image_id) VALUES (0);
INSERT INTO counter (name, value) VALUES ('folded', 0);
