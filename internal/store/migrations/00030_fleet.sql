-- How many flaws of an image are known to be exploited, and the newest tag of a repository
-- without reading the others.

ALTER TABLE image ADD COLUMN kev BIGINT NOT NULL DEFAULT 0;
CREATE INDEX tag_newest ON tag (repository_id, pushed, id) WHERE gone = 0;
INSERT INTO stale_chain (chain_id, mark)
SELECT DISTINCT a.chain_id, 1 FROM kev k JOIN verdict v ON v.flaw = k.cve JOIN chain_package a ON a.package_id = v.package_id
WHERE a.removed = 0 ON CONFLICT (chain_id) DO UPDATE SET mark = stale_chain.mark + 1;
